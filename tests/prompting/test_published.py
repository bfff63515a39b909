"""Published prompt formats, byte for byte, on questions of our own."""

import pytest

import judgekit
import judgekit.data
from judgekit.prompting.styles import VARIABLES, render_instruction
from judgekit.prompting.templates import Prompts, parse
from judgekit.records import Sample
from samples_of_styles import WITH_INPUT


@pytest.mark.parametrize("name", [name for name in Prompts().names() if name.startswith("instruct/")])
def test_no_style_shows_the_reference(name):
    text = render_instruction(name, WITH_INPUT)
    assert "Give the plural." in text
    assert "mouse" in text
    assert "mice" not in text


def test_a_style_of_the_users_own(tmp_path):
    (tmp_path / "style.j2").write_text("{{ instruction }} [{{ metadata.unit }}]", encoding="utf-8")
    sample = WITH_INPUT.model_copy(update={"metadata": {"unit": "km"}})
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


def test_mmlu_with_two_shots_and_without():
    shot = "How many legs has a spider?\nA. 4\nB. 6\nC. 8\nD. 10\nAnswer: C\n\n"
    for shots in ([SHOT, SHOT], []):
        assert MMLU.render(subject="abstract algebra", shots=shots, letters=LETTERS, **QUESTION) == (
            "The following are multiple choice questions (with answers) about  abstract algebra.\n\n"
            + shot * len(shots)
            + "How many sides has a hexagon?\nA. 5\nB. 6\nC. 7\nD. 8\nAnswer:"
        )


def test_mmlu_keeps_the_lines_of_a_long_question():
    text = MMLU.render(subject="x", shots=[], letters=LETTERS, question="One\n\ntwo: ", choices=["a ", " b", "", "\n"])
    assert text.endswith(".\n\nOne\n\ntwo: \nA. a \nB.  b\nC. \nD. \n\nAnswer:")
