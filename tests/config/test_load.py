"""judgekit.yaml: what is accepted, and what is refused with which words."""

import os
from pathlib import Path

import pytest

from judgekit.config.blocks import RunConfig
from judgekit.config.load import load
from judgekit.errors import ConfigError

GOOD = """\
name: mine
data: {path: items.json, split: test}
models:
  a: {backend: gpt2, checkpoint: x, temperature: 0.5, max_new_tokens: 9, options: {num_gpu: 1}}
judges:
  main: {preset: book, seed: 7}
metrics:
  q: {type: score, judge: main}
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "judgekit.yaml"
    path.write_text(GOOD)
    return path


def test_keys_are_sorted_into_ours_and_the_plugins(config):
    spec = load(config)
    model = spec.models["a"]
    assert model.sampling.temperature == 0.5
    assert model.sampling.max_new_tokens == 9
    assert model.options == {"checkpoint": "x", "options": {"num_gpu": 1}}
    judge = spec.judges["main"]
    assert (judge.backend, judge.options["model"], judge.options["num_ctx"]) == ("ollama", "llama3", 2048)
    assert judge.sampling.seed == 7, "what the config says wins over the preset"
    assert judge.sampling.temperature == 0


def test_a_dumped_spec_is_a_config_again(config):
    spec = load(config)
    assert RunConfig.model_validate(spec.model_dump(mode="json")) == spec


def test_overrides_are_yaml_values_and_flags_win(config):
    spec = load(config, ["models.a.temperature=1", "repeats.generation=3", "models.b={backend: gpt2}"], {"limit": 5})
    assert spec.models["a"].sampling.temperature == 1
    assert spec.repeats.generation == 3
    assert "b" in spec.models
    assert spec.limit == 5


def test_yaml_is_1_2(config):
    config.write_text(GOOD + "seed: 0o10\nagainst: no\n")
    spec = load(config)
    assert spec.seed == 8
    assert spec.against == "no", "only true and false are booleans"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            GOOD.replace("metrics:", "metricks:"),
            r"judgekit\.yaml:7: .*unknown key 'metricks'; did you mean 'metrics'\?",
        ),
        (GOOD + "repeats: {jugde: 2}\n", r"yaml:9: unknown key 'repeats.jugde'; did you mean 'judge'\?"),
        (GOOD + "name: again\n", r"yaml:9: duplicate key \"name\""),
        (GOOD.replace("temperature: 0.5", "temperature: -1"), r"yaml:4: models.a.temperature: input should be greater"),
        (
            GOOD.replace("temperature: 0.5", "temperature: .nan"),
            r"yaml:4: models.a.temperature: input should be a finite number",
        ),
        (
            GOOD.replace("preset: book", "preset: bok"),
            r"yaml:6: judges.main: no judge preset is named 'bok'; did you mean 'book'",
        ),
        (GOOD.replace("name: mine", "name: ../mine"), r"yaml:1: name: "),
        ("- a\n- b\n", r"should be a mapping of keys, not list"),
        ("", r"should be a mapping of keys, not NoneType"),
        ("a: [1, 2\nb: 3\n", r"yaml:\d: not YAML"),
        ("a: " + 1000 * "[", r"not YAML: nested too deeply"),
        (GOOD + "seed: -1\n", r"yaml:9: seed: "),
        ("name: !!python/object/apply:os.system [ls]\n", r"name"),
        (GOOD.replace("metrics:\n  q: {type: score, judge: main}\n", ""), r"'metrics' is missing"),
    ],
)
def test_a_broken_config_says_where_and_what(config, text, expected):
    config.write_text(text)
    with pytest.raises(ConfigError, match=expected):
        load(config)


def test_files_that_cannot_be_configs(tmp_path):
    with pytest.raises(ConfigError, match="no such file; `judgekit init` writes one"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="is a folder"):
        load(tmp_path)
    big = tmp_path / "big.yaml"
    big.write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(ConfigError, match="larger than"):
        load(big)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(binary)


@pytest.mark.parametrize("override", ["nonsense", "=3", "models.a=[", "name.deeper=1"])
def test_bad_overrides(config, override):
    with pytest.raises(ConfigError, match="--set"):
        load(config, [override])


def test_what_may_never_end_is_no_config(config):
    os.mkfifo(config.with_name("pipe.yaml"))
    for endless in (config.with_name("pipe.yaml"), Path("/dev/zero")):
        with pytest.raises(ConfigError, match="a device or a pipe"):
            load(endless)
