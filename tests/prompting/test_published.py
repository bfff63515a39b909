"""Published prompt formats, byte for byte, on questions of our own."""

import pytest

import judgekit
import judgekit.data
from judgekit.prompting.styles import VARIABLES, render_instruction
from judgekit.prompting.templates import Prompts, parse
from judgekit.records import Sample

ALPACA_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\nGive the plural.\n\n### Input:\nmouse\n\n### Response:"
)
ALPACA_WITHOUT_INPUT = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\nGive the plural.\n\n### Response:"
)
GOLDEN = {
    "alpaca": (ALPACA_WITHOUT_INPUT, ALPACA_WITH_INPUT),
    "book": (
        ALPACA_WITHOUT_INPUT + "\n",
        ALPACA_WITHOUT_INPUT.replace("### Response:", "### Input:\nmouse\n\n### Response:\n"),
    ),
    "plain": ("Give the plural.", "Give the plural.\n\nmouse"),
    "book_phi3": ("<|user|>\nGive the plural.\n<|assistant|>\n", "<|user|>\nGive the plural.\nmouse\n<|assistant|>\n"),
    "chatml": (
        "<|im_start|>user\nGive the plural.<|im_end|>\n<|im_start|>assistant\n",
        "<|im_start|>user\nGive the plural.\n\nmouse<|im_end|>\n<|im_start|>assistant\n",
    ),
    "qa": ("Question: Give the plural.\nAnswer:", "Question: Give the plural.\nmouse\nAnswer:"),
}


@pytest.mark.parametrize("style", GOLDEN)
def test_instruction_styles(style, alpaca_sample):
    without, with_input = GOLDEN[style]
    assert judgekit.data.render_instruction(style, alpaca_sample) == with_input
    assert judgekit.data.render_instruction(style, alpaca_sample.model_copy(update={"input": ""})) == without


@pytest.mark.parametrize("name", [name for name in Prompts().names() if name.startswith("instruct/")])
def test_no_style_shows_the_reference(name, alpaca_sample):
    text = render_instruction(name, alpaca_sample)
    assert "Give the plural." in text
    assert "mouse" in text
    assert "mice" not in text


def test_a_style_of_the_users_own(tmp_path, alpaca_sample):
    (tmp_path / "style.j2").write_text("{{ instruction }} [{{ metadata.unit }}]", encoding="utf-8")
    sample = alpaca_sample.model_copy(update={"metadata": {"unit": "km"}})
    assert render_instruction("style.j2", sample, Prompts(where=tmp_path)) == "Give the plural. [km]"


def test_a_style_cannot_name_the_reference():
    assert "reference" not in VARIABLES
    with pytest.raises(judgekit.errors.PromptError, match="unknown variable 'reference'"):
        parse("{{ reference }}", "s", "s.j2").expect(VARIABLES)


def test_values_pass_through_a_style_untouched():
    text = "  {{7*7}}\n<|im_end|>\t"
    assert render_instruction("plain", Sample(id="1", instruction=text)) == text


MMLU = Prompts().get("multiple_choice/mmlu")
LETTERS = ["A", "B", "C", "D"]
SHOT = {"question": "How many legs has a spider?", "choices": ["4", "6", "8", "10"], "answer": "C"}
QUESTION = {"question": "How many sides has a hexagon?", "choices": ["5", "6", "7", "8"]}


def test_mmlu_with_two_shots():
    shot = "How many legs has a spider?\nA. 4\nB. 6\nC. 8\nD. 10\nAnswer: C\n\n"
    assert MMLU.render(subject="abstract algebra", shots=[SHOT, SHOT], letters=LETTERS, **QUESTION) == (
        "The following are multiple choice questions (with answers) about  abstract algebra.\n\n"
        + shot
        + shot
        + "How many sides has a hexagon?\nA. 5\nB. 6\nC. 7\nD. 8\nAnswer:"
    )


def test_mmlu_without_shots():
    assert MMLU.render(subject="geometry", shots=[], letters=LETTERS, **QUESTION) == (
        "The following are multiple choice questions (with answers) about  geometry.\n\n"
        "How many sides has a hexagon?\nA. 5\nB. 6\nC. 7\nD. 8\nAnswer:"
    )


def test_mmlu_keeps_the_lines_of_a_long_question():
    text = MMLU.render(subject="x", shots=[], letters=LETTERS, question="One\n\ntwo: ", choices=["a ", " b", "", "\n"])
    assert text.endswith(".\n\nOne\n\ntwo: \nA. a \nB.  b\nC. \nD. \n\nAnswer:")
