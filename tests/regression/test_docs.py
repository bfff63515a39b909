"""docs/gate.md: its config is understood, its commands exist, and its figures are those of the code."""

import re

import pytest
from ruamel.yaml import YAML

from gate_folders import a_run, drawn, moved
from judgekit.cli import execute
from judgekit.config.blocks import GateConfig
from judgekit.statistics.gating import Design
from judgekit.statistics.power import items_needed


@pytest.fixture(scope="module")
def page(checkout):
    return (checkout / "docs" / "gate.md").read_text("utf-8")


def test_the_config_is_understood(page):
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    spec = GateConfig.model_validate(YAML(typ="safe").load(block)["gate"])
    assert set(spec.rules) == {"quality", "exact", "win_rate", "style"}
    assert spec.rules["quality"] == GateConfig.model_validate({"quality": 3}).rules["quality"]
    assert spec.rules["win_rate"].system == ("tuned",)
    assert spec.waive == ("main.padded",)


def test_the_commands_do_what_the_page_says(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scores = drawn(120, 1)
    old = a_run(tmp_path / "runs" / "my-model-1f0c…", {"quality": {"sft": scores}})
    new = a_run(tmp_path / "runs" / "my-model-77ab…", {"quality": {"sft": moved(scores, -6, 2)}})
    assert old.is_dir()
    assert new.is_dir()
    (block, *_) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    lines = [line.partition("#")[0].split() for line in block.splitlines() if line.startswith("judgekit")]
    codes = {line[1]: execute(line[1:]) for line in lines if line[1] != "run"}
    assert codes == {"baseline": 0, "compare": 0, "gate": 1}
    capsys.readouterr()


def test_every_command_on_the_page_exists(page, capsys):
    for command in set(re.findall(r"`judgekit ([a-z]+)", page)):
        assert execute([command, "--help"]) == 0, command
    for command, option in re.findall(r"`judgekit ([a-z]+)[^`]*? (--[a-z]+)", page):
        execute([command, "--help"])
        assert option in capsys.readouterr().out


def test_the_number_of_items_in_the_example_is_right(page):
    (margin, need) = re.search(r"cannot decide a margin of (\d+): it needs (\d+) items", page).groups()
    assert items_needed(12.3 * (2 / 3) ** 0.5, Design(110, 100.0), float(margin)) == pytest.approx(int(need), rel=0.02)
