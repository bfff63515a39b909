"""The messages that put a conversation so far to a model."""

from judgekit.prompting.messages import prompt_messages
from judgekit.records import Message, Sample

LONG = Sample(id="1", instruction="One?", input="Now.", turns=("Two?", "Three?"), system="Be brief.")


def test_every_turn_of_the_user_is_rendered_in_the_style():
    (text,) = prompt_messages("alpaca", LONG, ["First.\n", "Second."], None, chat=False)
    head = "Below is an instruction that describes a task"
    assert text.content.startswith(f"Be brief.\n\n{head}, paired with an input")
    assert "### Input:\nNow.\n\n### Response:First.\n\nBelow" in text.content
    assert text.content.count(head) == 3
    assert text.content.endswith("### Instruction:\nThree?\n\n### Response:")


def test_messages_begin_with_what_the_system_is_told():
    assert prompt_messages("plain", LONG, ["First."], None, chat=True) == (
        Message(role="system", content="Be brief."),
        Message(role="user", content="One?\n\nNow."),
        Message(role="assistant", content="First."),
        Message(role="user", content="Two?"),
    )


def test_a_single_question_is_asked_as_ever():
    single = Sample(id="1", instruction="One?")
    for chat in (True, False):
        assert prompt_messages("plain", single, [], None, chat=chat) == (Message(role="user", content="One?"),)
