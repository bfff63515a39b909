"""Every style on conversations of our own, byte for byte as published; what is learnt stands in «…»."""

import pytest

from judgekit.prompting.messages import prompt_messages
from judgekit.prompting.styles import render_prompt, render_training, style_named
from judgekit.prompting.templates import Prompts
from samples_of_styles import SHORT, TALK, WITH_INPUT, shown

ALPACA = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{}\n\n### Response:"
)
ALPACA_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
    "response that appropriately completes the request.\n\n### Instruction:\n{}\n\n### Input:\n{}\n\n### Response:"
)
KOREAN = "아래에는 할 일을 설명하는 지시문이 있습니다. 요청에 알맞게 답하세요.\n\n### 지시:\n{}\n\n### 응답:"
KOREAN_INPUT = (
    "아래에는 할 일을 설명하는 지시문과 그 맥락을 보태는 입력이 있습니다. 요청에 알맞게 답하세요.\n\n"
    "### 지시:\n{}\n\n### 입력:\n{}\n\n### 응답:"
)
BOOK_INPUT = ALPACA.replace("### Response:", "### Input:\n{}\n\n### Response:\n")
VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions."
)
HEAD = "<|start_header_id|>{}<|end_header_id|>\n\n"
# By style: with an input, and a conversation with a system message.
GOLDEN = {
    "alpaca": (
        ALPACA_INPUT.format("Give the plural.", "mouse") + "«mice»",
        "Be brief.\n\n" + ALPACA.format("Hi.") + "«안녕 🙂»\n\n" + ALPACA.format("And?") + "«Bye.»",
    ),
    "alpaca_ko": (
        KOREAN_INPUT.format("Give the plural.", "mouse") + "«mice»",
        "Be brief.\n\n" + KOREAN.format("Hi.") + "«안녕 🙂»\n\n" + KOREAN.format("And?") + "«Bye.»",
    ),
    "book": (
        BOOK_INPUT.format("Give the plural.", "mouse") + "«mice»",
        "Be brief.\n\n" + ALPACA.format("Hi.") + "\n«안녕 🙂»\n\n" + ALPACA.format("And?") + "\n«Bye.»",
    ),
    "book_phi3": (
        "<|user|>\nGive the plural.\nmouse\n<|assistant|>\n«mice»",
        "Be brief.\n\n<|user|>\nHi.\n<|assistant|>\n«안녕 🙂»\n\n<|user|>\nAnd?\n<|assistant|>\n«Bye.»",
    ),
    "phi3": (
        "<|user|>\nGive the plural.\n\nmouse<|end|>\n<|assistant|>\n«mice<|end|>»",
        "<|system|>\nBe brief.<|end|>\n<|user|>\nHi.<|end|>\n<|assistant|>\n«안녕 🙂<|end|>»\n"
        "<|user|>\nAnd?<|end|>\n<|assistant|>\n«Bye.<|end|>»",
    ),
    "chatml": (
        "<|im_start|>user\nGive the plural.\n\nmouse<|im_end|>\n<|im_start|>assistant\n«mice<|im_end|>»",
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi.<|im_end|>\n<|im_start|>assistant\n"
        "«안녕 🙂<|im_end|>»\n<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\n«Bye.<|im_end|>»",
    ),
    "llama2": (
        "<s>[INST] Give the plural.\n\nmouse [/INST]« mice </s>»",
        "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi. [/INST]« 안녕 🙂 </s>»<s>[INST] And? [/INST]« Bye. </s>»",
    ),
    "llama3": (
        f"<|begin_of_text|>{HEAD.format('user')}Give the plural.\n\nmouse<|eot_id|>{HEAD.format('assistant')}"
        "«mice<|eot_id|>»",
        f"<|begin_of_text|>{HEAD.format('system')}Be brief.<|eot_id|>{HEAD.format('user')}Hi.<|eot_id|>"
        f"{HEAD.format('assistant')}«안녕 🙂<|eot_id|>»{HEAD.format('user')}And?<|eot_id|>"
        f"{HEAD.format('assistant')}«Bye.<|eot_id|>»",
    ),
    "vicuna": (
        f"{VICUNA} USER: Give the plural.\n\nmouse ASSISTANT:« mice</s>»",
        "Be brief. USER: Hi. ASSISTANT:« 안녕 🙂</s>»USER: And? ASSISTANT:« Bye.</s>»",
    ),
    "flan": ("Give the plural.\n\nmouse«mice»", "Be brief.\n\nHi.«안녕 🙂»\n\nAnd?«Bye.»"),
    "plain": ("Give the plural.\n\nmouse«mice»", "Be brief.\n\nHi.«안녕 🙂»\n\nAnd?«Bye.»"),
    "qa": (
        "Question: Give the plural.\nmouse\nAnswer:«mice»",
        "Be brief.\n\nQuestion: Hi.\nAnswer:«안녕 🙂»\n\nQuestion: And?\nAnswer:«Bye.»",
    ),
}  # fmt: skip


def test_every_shipped_style_has_its_golden_rendering():
    styles = [name for name in Prompts().names() if name.startswith("instruct/")]
    assert styles == sorted(f"instruct/{name}" for name in GOLDEN)


@pytest.mark.parametrize("style", GOLDEN)
def test_what_is_read_and_what_is_learnt(style):
    with_input, talk = GOLDEN[style]
    assert shown(render_training(style, WITH_INPUT)) == with_input
    assert shown(render_training(style, TALK)) == talk
    without = with_input.replace("\n\nmouse", "").replace("\nmouse", "")
    if not style.startswith(("alpaca", "book")) or style == "book_phi3":
        assert shown(render_training(style, SHORT)) == without
    elif style != "alpaca_ko":
        plain = ALPACA.format("Give the plural.") + "\n" * (style == "book")
        assert shown(render_training(style, SHORT)) == plain + "«mice»"


@pytest.mark.parametrize("style", GOLDEN)
def test_evaluation_asks_with_what_training_read(style):
    """Each prompt of an evaluation is the text before the answer that training learns, its history included."""
    found = style_named(style)
    for sample, answers in ((WITH_INPUT, ["mice"]), (TALK, ["안녕 🙂", "Bye."])):
        spans = render_training(style, sample)
        learnt = [at for at, span in enumerate(spans) if span.learn]
        assert [spans[at].text for at in learnt] == [f"{found.lead}{answer}{found.end}" for answer in answers]
        for number, at in enumerate(learnt):
            before = "".join(span.text for span in spans[:at])
            assert render_prompt(style, sample, answers[:number]) == before
            replies = [f"{found.lead}{answer} \n" for answer in answers[:number]]
            assert prompt_messages(style, sample, replies, None, chat=False)[0].content == before


def test_an_unanswered_turn_is_where_the_text_ends():
    sample = TALK.model_copy(update={"turn_references": (None,)})
    assert shown(render_training("chatml", sample)).endswith("And?<|im_end|>\n<|im_start|>assistant\n")


def test_a_message_to_a_server_has_no_system_message_in_it():
    turn = style_named("chatml").turn(TALK)
    assert turn == "<|im_start|>user\nHi.<|im_end|>\n<|im_start|>assistant\n"
