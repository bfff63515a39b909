"""docs/judging.md cannot lie: its table is made from the prompts, and its configs are planned."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from judgekit.config.blocks import JudgeConfig
from judgekit.judging.planning import shown_by
from judgekit.judging.questions import VARIABLES, Grading, Setting
from judgekit.prompting.templates import Prompts
from judgekit.records import VERDICT_STATUSES
from judges import reading_for, readings

PROMPTS = Prompts()
KEYS = ("scale", "rubric", "criterion", "steps", "criteria", "weights", "floor")
START = "<!-- modes: this table is checked by tests/judging/test_docs.py -->\n"
END = "<!-- /modes -->"


@pytest.fixture(scope="module")
def page(checkout):
    return (checkout / "docs" / "judging.md").read_text("utf-8")


def table():
    lines = ["| mode | for | scale | takes | the backend has |", "|---|---|---|---|---|"]
    for task in ("score", "pairwise"):
        lines.append(f"| **to {'score' if task == 'score' else 'compare two'}** | | | | |")
        for name in PROMPTS.names():
            folder, _, mode = name.partition("/")
            if folder == task and not mode.endswith(".ko"):
                lines.append(_line(task, mode))
    return "\n".join(lines) + "\n"


def _line(task, mode):
    template = PROMPTS.get(f"{task}/{mode}")
    grading = Grading(criteria={"a": "b"} if template.front.reading == "criteria" else {})
    reading = reading_for(task, Setting("main", template, grading=grading))
    korean = f"`{mode}`, `.ko`" if f"{task}/{mode}.ko" in PROMPTS.names() else f"`{mode}`"
    scale = "{:g}–{:g}".format(*reading.setting.scale) if task == "score" else ""
    needs = "; needs references" if template.front.needs else ""
    takes = ", ".join(f"`{key}`" for key in KEYS if key in shown_by(template, readings()))
    return f"| {korean} | {template.front.purpose}{needs} | {scale} | {takes} | {reading.needs} |"


def test_the_table_of_modes_is_that_of_the_prompts(page):
    assert page.split(START)[1].split(END)[0] == table()


def test_every_judge_of_the_page_is_a_judge(page):
    (block,) = re.findall(r"```yaml\n(judges:.*?)```", page, re.DOTALL)
    judges = {name: JudgeConfig.model_validate(part) for name, part in YAML(typ="safe").load(block)["judges"].items()}
    for name, spec in judges.items():
        if spec.panel:
            assert set(spec.panel) <= set(judges)
        else:
            assert {f"score/{spec.mode}", f"pairwise/{spec.mode}"} & set(PROMPTS.names()), name


def test_the_page_names_every_reading_variable_status_and_key(page):
    names = set(readings().classes) | set(VERDICT_STATUSES) | set(KEYS)
    names |= {name for known in VARIABLES.values() for name in known if not name.startswith("verbatim")}
    assert not [name for name in sorted(names) if f"`{name}" not in page]


if __name__ == "__main__":
    path = Path(__file__).parents[2] / "docs" / "judging.md"
    text = path.read_text("utf-8")
    path.write_text(text.split(START)[0] + START + table() + END + text.split(END)[1], "utf-8")
