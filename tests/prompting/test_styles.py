"""Every style on conversations of our own, byte for byte as published; what is learnt stands in «…»."""

import json

import pytest

from judgekit.errors import PromptError
from judgekit.prompting.messages import prompt_messages
from judgekit.prompting.styles import render_prompt, render_training, style_named
from judgekit.prompting.templates import Prompts
from judgekit.records import Sample

SHORT = Sample(id="1", instruction="Give the plural.", reference="mice")
WITH_INPUT = SHORT.model_copy(update={"input": "mouse"})
TALK = Sample(
    id="2", system="Be brief.", instruction="Hi.", reference="안녕 🙂", turns=("And?",), turn_references=("Bye.",)
)
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


def shown(spans):
    return "".join(f"«{span.text}»" if span.learn else span.text for span in spans)


def test_every_shipped_style_has_its_golden_rendering():
    assert {f"instruct/{name}" for name in GOLDEN} == {
        name for name in Prompts().names() if name.startswith("instruct/")
    }


@pytest.mark.parametrize("style", GOLDEN)
def test_what_is_read_and_what_is_learnt(style):
    with_input, talk = GOLDEN[style]
    assert shown(render_training(style, WITH_INPUT)) == with_input
    assert shown(render_training(style, TALK)) == talk
    without = with_input.replace("\n\nmouse", "").replace("\nmouse", "")
    if not style.startswith(("alpaca", "book")) or style == "book_phi3":
        assert shown(render_training(style, SHORT)) == without


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


# --- a tokenizer's own chat template ---

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] }}{{ '<|im_end|>' }}"
    "{% endgeneration %}{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
    "{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}"
    "{% endif %}{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}"
    "{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
PHI3 = (
    "{% for message in messages %}{% if message['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{{ '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ '<|endoftext|>' }}{% endif %}"
)


@pytest.fixture
def tokenizer_folder(tmp_path):
    def make(template, name="tokenizer", **config):
        folder = tmp_path / name
        folder.mkdir()
        config = {"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": False}, **config}
        if "chat_template" not in config:
            (folder / "chat_template.jinja").write_text(template, "utf-8")
        (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
        return f"chat_template:{folder}"

    return make


@pytest.mark.parametrize(
    ("template", "style"), [(CHATML, "chatml"), (LLAMA2, "llama2")], ids=["chatml", "llama2"]
)  # fmt: skip
def test_a_chat_template_writes_what_the_style_of_its_format_does(tokenizer_folder, template, style):
    name = tokenizer_folder(template)
    for sample in (SHORT, WITH_INPUT, TALK):
        ours = shown(render_training(style, sample))
        assert shown(render_training(name, sample)).rstrip() == ours
        assert render_prompt(name, sample) == render_prompt(style, sample)
    assert (style_named(name).lead, style_named(name).end) == (style_named(style).lead, style_named(style).end)


def test_a_template_without_system_messages_gets_them_in_the_first_turn(tokenizer_folder):
    name = tokenizer_folder(PHI3)
    assert shown(render_training(name, TALK)) == (
        "<|user|>\nBe brief.\n\nHi.<|end|>\n<|assistant|>\n«안녕 🙂<|end|>»\n<|user|>\nAnd?<|end|>\n<|assistant|>\n"
        "«Bye.<|end|>»\n<|endoftext|>"
    )


def test_a_template_may_be_in_the_config_under_a_name_or_in_a_file(tokenizer_folder, tmp_path):
    named = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": CHATML}]
    name = tokenizer_folder("", chat_template=named)
    (tmp_path / "own.jinja").write_text(CHATML)
    prompts = Prompts(where=tmp_path)
    assert render_prompt("chat_template:own.jinja", TALK, (), prompts) == render_prompt(name, TALK)
    hashes = {style_named(name).sha256, style_named("chat_template:own.jinja", prompts).sha256}
    assert len(hashes) == 2, "the special tokens are part of a template"


def test_answers_that_are_trimmed_are_learnt_as_they_are_written(tokenizer_folder):
    name = tokenizer_folder(LLAMA2)
    sample = SHORT.model_copy(update={"reference": "mice \n"})
    assert shown(render_training(name, sample)) == "<s>[INST] Give the plural. [/INST]« mice </s>»"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for m in messages %}", "Unexpected end of template"),
        ("{% for m in messages %}{{ m.content | upper }}|{% endfor %}", "does not write what the assistant says"),
        ("{{ messages[-1].content }}", "does not write what the assistant says"),
        ("{{ raise_exception('never') }}", "the chat template refuses the conversation: never"),
        ("{{ messages.append(1) }}", "the chat template refuses the conversation"),
        ("{{ ''.__class__.__mro__ }}", "the chat template refuses the conversation"),
    ],
)
def test_a_template_that_cannot_be_used_says_why(tokenizer_folder, template, message):
    with pytest.raises(PromptError, match=message):
        render_training(tokenizer_folder(template), TALK)


def test_a_place_without_a_template_says_so(tmp_path):
    with pytest.raises(PromptError, match=r"no chat template: neither a chat_template\.jinja nor"):
        style_named(f"chat_template:{tmp_path}")
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with pytest.raises(PromptError, match="the tokenizer has no chat template"):
        style_named(f"chat_template:{tmp_path}")
    with pytest.raises(PromptError, match="no chat template"):
        style_named(f"chat_template:{tmp_path / 'nothing'}")


def test_texts_are_those_of_transformers(tokenizer_folder):
    """The library's own renderer, with its whitespace and its functions."""
    tokenizers = pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    bare = tokenizers.Tokenizer(tokenizers.models.BPE())
    for number, template in enumerate((CHATML, LLAMA2)):
        name = tokenizer_folder(template, f"t{number}")
        theirs = transformers.PreTrainedTokenizerFast(tokenizer_object=bare, bos_token="<s>", eos_token="</s>")
        theirs.chat_template = template
        told = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi."},
            {"role": "assistant", "content": "안녕 🙂"},
            {"role": "user", "content": "And?"},
        ]
        asked = theirs.apply_chat_template(told, tokenize=False, add_generation_prompt=True)
        assert render_prompt(name, TALK, ["안녕 🙂"]) == asked
        whole = theirs.apply_chat_template([*told, {"role": "assistant", "content": "Bye."}], tokenize=False)
        assert "".join(span.text for span in render_training(name, TALK)) == whole
