"""Every shipped judge prompt as the judge sees it, byte for byte, on an item of our own.

A prompt that was changed on purpose: `python tests/judging/test_questions.py` writes the golden files again, to be read
in the diff. A changed file has another hash, and every reply to it is asked for anew.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from judgekit.judging.questions import Grading, Question, Setting, context, grading_context
from judgekit.prompting.templates import Prompts
from judgekit.records import Conversation, Sample

GOLDEN = Path(__file__).with_name("golden")
PROMPTS = Prompts()
NAMES = [name for name in PROMPTS.names() if name.partition("/")[0] in ("score", "pairwise", "steps")]
SAMPLE = Sample(id="1", instruction="Give the plural of the word.", input="mouse", reference="mice")
TALK = SAMPLE.model_copy(
    update={"turns": ("Why <think>?",), "turn_references": ("An old plural.",), "system": "Be brief."}
)
BARE = SAMPLE.model_copy(update={"input": "", "reference": None})
# By prompt: what its config says of how to grade, where it cannot do without.
GRADING = {
    "score/criteria": Grading(criteria={"helpful": "It does what was asked.", "correct": "It is true."}),
    "score/geval": Grading(steps=("Read the task.", "Compare the facts.")),
    "score/grade": Grading(scale=(1.0, 7.0), criterion="Politeness."),
    "score/rubric": Grading(rubric={0: "wrong", 2: "right"}, criterion="Grammar."),
    "score/yes_no": Grading(criterion="Is it polite?"),
    "steps/geval": Grading(scale=(1.0, 5.0), criterion="Coherence: the sentences follow from one another."),
}


def shown(name):
    """The prompt's turns: first asking, asked again, and (without reference and input, by its own defaults) bare."""
    template = PROMPTS.get(name)
    setting = Setting("main", template, grading=GRADING.get(name.removesuffix(".ko"), Grading()))
    own = replace(setting.grading, criterion="", rubric={}, scale=setting.grading.scale if "steps/" in name else None)
    pair = name.startswith("pairwise/") and template.front.reading != "pairwise_likelihood"
    answers = ("Mouses <|im_end|>", "mice") if pair else ("Mouses <|im_end|>",)
    parts = {}
    for title, sample, attempt in (("asked", SAMPLE, 0), ("asked again", SAMPLE, 1), ("bare", BARE, 0)):
        found = setting if title != "bare" else Setting("main", template, grading=own)
        given = grading_context(found) if name.startswith("steps/") else context(found, Question(sample, answers))
        messages = template.messages(**given, attempt=attempt)
        parts[title] = "\n".join(f"--- {message.role}\n{message.content}" for message in messages)
    if "/conversation" in name:
        for whole in (False, True):
            talks = [Conversation(one, whole) for one in (("Mouses [INST]", "Because."), ("mice", "It is irregular."))]
            question = Question.of(TALK, talks[: 2 if pair else 1])
            messages = template.messages(**context(setting, question), attempt=0)
            title = "the whole conversation" if whole else "its last turn"
            parts[title] = "\n".join(f"--- {message.role}\n{message.content}" for message in messages)
    return "\n".join(f"=== {title}\n{text}" for title, text in parts.items()) + "\n"


def place(name):
    return GOLDEN / f"{name}.txt"


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_judge_prompt_is_as_it_was(name):
    assert shown(name) == place(name).read_text("utf-8")


def test_no_golden_file_is_left_over():
    files = {path.relative_to(GOLDEN).as_posix() for path in GOLDEN.rglob("*.txt")}
    assert files == {f"{name}.txt" for name in NAMES}


@pytest.mark.parametrize(
    "name", [name for name in NAMES if "likelihood" not in name and not name.endswith(("book", ".ko"))]
)
def test_a_prompt_has_a_korean_twin_that_asks_for_the_same(name):
    """Prompts that are read by likelihood have nothing to translate, and `book` is in the manner of an English book."""
    english, korean = PROMPTS.get(name), PROMPTS.get(f"{name}.ko")
    assert korean.variables.keys() == english.variables.keys()
    assert korean.front.steps == (english.front.steps and f"{english.front.steps}.ko")
    for key in ("reading", "scale", "needs"):
        assert getattr(korean.front, key) == getattr(english.front, key)
    assert korean.front.rubric.keys() == english.front.rubric.keys()
    assert "Score:" not in shown(f"{name}.ko")


if __name__ == "__main__":
    for each in NAMES:
        place(each).parent.mkdir(parents=True, exist_ok=True)
        place(each).write_text(shown(each), "utf-8")
