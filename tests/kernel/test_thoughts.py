"""What of a text is the answer: one row for each family's marks, and for each text that only speaks of them."""

import pytest
from pydantic import TypeAdapter, ValidationError

from judgekit.records import Reply, Response, Token, to_json
from judgekit.thoughts import MARKS, STRIP, Thoughts, ThoughtsOption, why_empty, without_thoughts

ANALYSIS, FINAL = "<|channel|>analysis<|message|>", "<|channel|>final<|message|>"
CUT = {
    "<think>Rome? No.</think>\n\nParis": "Paris",
    "<THINK>a</THINK> Paris\n": "Paris",
    "<think></think>\n\nParis": "Paris",
    "<think>a <think>b</think> c</think> Paris": "Paris",
    "<think>a</think><reasoning>b</reasoning>\nParis": "Paris",
    "<think>a</thinking>\nParis": "Paris",
    "a</think>\n<think>b</think> Paris": "Paris",
    "Okay.\n<think>\na\n</think>\nParis": "Paris",
    "Okay.\n<think>a</think> Paris": "Paris",
    "Okay.\n<think>\na, b.</think> Paris": "Paris",
    "<think>never ends": "",
    "<think>\nonly thoughts\n</think>": "",
    # the opening mark stood in the prompt
    "a\n</think>\n\nParis": "Paris",
    "a</think>\nParis": "Paris",
    "Rome is in Italy.</think>Paris": "Paris",
    "Rome is in Italy.</think> Paris": "Paris",
    "so Paris</think>Paris": "Paris",
    "a\n[/THINK]Paris": "Paris",
    "a\n◁/think▷Paris": "Paris",
    # a fence of the thoughts that is left open, and one that the answer begins with
    "a\n```\nb\n</think>\nParis": "Paris",
    "a\n```\nb\n</think>\n\n```python\nx\n```": "```python\nx\n```",
    '<details type="reasoning" done="true">\n<summary>3 s</summary>\na\n</details>\nParis': "Paris",
    # harmony
    f"{ANALYSIS}a<|end|><|start|>assistant{FINAL}Paris<|return|>": "Paris",
    f"{ANALYSIS}a{FINAL}Paris": "Paris",
    f"<|start|>assistant{ANALYSIS}a<|end|>\n<|start|>assistant<|channel|>final <|constrain|>json<|message|>{{}}": "{}",
    f"a<|end|><|start|>assistant{FINAL}Paris": "Paris",
    f"{FINAL}Paris": "Paris",
    f"{ANALYSIS}never ends": "",
    "analysisThe user asks.assistantfinalParis": "Paris",
}
WHOLE = [
    " Paris ",
    "The tag <think> opens it and </think> closes it.",
    "It ends with `a</think>b`, as in the chat format.",
    '{"rationale": "It forgot its </think> tag."}',
    "Write:\n```\n<think>\na\n</think>\n```\nThen answer.",
    "Stop at:\n```\n</think>\n```\nand go on.",
    "<details>\n<summary>More</summary>\na\n</details>\nParis",
    "analysis of the data",
    f"The marker `{FINAL}` begins the answer.",
    "I think [that] it is Paris.",
    "MARY [think]\nIt is Paris.",
    "Such models open with <think>\nand close with </think>, then answer.",
    "Two tags matter:\n<think> opens the thoughts and </think> closes them.\nThen comes the answer.",
    "The tags are:\n- <think>\n- </think>\n- <tool>",
]


@pytest.mark.parametrize("text", CUT)
def test_thoughts_are_cut_off(text):
    assert without_thoughts(text) == CUT[text]


@pytest.mark.parametrize("text", WHOLE)
def test_a_text_that_only_speaks_of_thoughts_stays_as_it_is(text):
    assert without_thoughts(text) == text
    assert STRIP.cut(Reply(text=text)).raw == ""


@pytest.mark.parametrize(("opening", "closing"), MARKS.items())
def test_each_mark_is_known_with_its_end_and_by_its_end_alone(opening, closing):
    assert without_thoughts(f"{opening}\nRome?\n{closing}\n\nParis") == "Paris"
    assert without_thoughts(f"Rome?\n{closing}\nParis") == "Paris"
    assert without_thoughts(f"{opening}\nRome?") == ""


@pytest.mark.parametrize(
    ("text", "status", "detail"),
    [
        ("<think>a</think>Paris", "complete", ""),
        ("<think>a", "complete", "its thoughts never end"),
        ("<think>a</think>\n", "complete", "nothing is left after its thoughts"),
        ("<think>a", "truncated", "its thoughts never end: raise max_new_tokens"),
    ],
)
def test_a_reply_of_which_nothing_is_left_says_why(text, status, detail):
    reply = STRIP.cut(Reply(text=text, status=status))
    assert (reply.raw, reply.whole, reply.status, reply.detail) == (text, text, status, detail)
    assert why_empty(reply) == ([detail] if status == "complete" and detail else [])
    assert STRIP.cut(reply.model_copy(update={"raw": ""})).text == reply.text


def test_the_tokens_of_the_answer_are_what_stays_of_them():
    words = ["<think>", "5", "</think>", "\n", "2"]
    reply = STRIP.cut(Reply(text="".join(words), tokens=tuple(Token(text=word, logprob=0.0) for word in words)))
    assert [token.text for token in reply.tokens] == ["2"]


def test_what_is_stored_of_a_reply_and_of_a_response_without_thoughts_is_as_it_was():
    reply = STRIP.cut(Reply(text="<think>a</think>Paris"))
    assert '"raw"' not in to_json(reply)
    assert '"raw"' not in to_json(Response(system="s", sample_id="i", text="Paris"))
    kept = Response(system="s", sample_id="i", text="Paris", raw=(reply.raw,))
    assert Response.model_validate_json(to_json(kept)) == kept


def option(value):
    return Thoughts.of(TypeAdapter(ThoughtsOption).validate_python(value))


def test_the_option_keeps_thoughts_or_knows_further_marks():
    text = "<scratch>a</scratch>Paris"
    assert option("strip") == option(None) == STRIP
    assert option("keep").part("<think>a</think>b").answer == "<think>a</think>b"
    assert STRIP.part(text).answer == text
    assert option(["<scratch>"]).part(text).answer == "Paris"
    assert option([["BEGIN", "END"]]).part("BEGIN a END\nParis").answer == "Paris"
    assert option(["<scratch>"]).part("<think>a</think>b").answer == "b"


@pytest.mark.parametrize("value", ["no", [], [1], ["scratch"], [["<a>", "<a>"]], [["a", "b", "c"]], [["", "b"]]])
def test_an_option_that_is_none_is_refused(value):
    with pytest.raises(ValidationError, match=r"tag|closed"):
        option(value)
