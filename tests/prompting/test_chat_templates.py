"""Chat templates of tokenizers: texts as transformers writes them, and what cannot be used says why."""

import json

import pytest

import judgekit
from judgekit.data import Item, LearntItem, lessons
from judgekit.errors import PromptError
from judgekit.prompting.styles import render_prompt, render_training, style_named
from judgekit.prompting.templates import Prompts
from samples_of_styles import SHORT, TALK, WITH_INPUT, shown

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


@pytest.mark.parametrize(("template", "style"), [(CHATML, "chatml"), (LLAMA2, "llama2")], ids=["chatml", "llama2"])
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
        said = {"system": "Be brief.", "user": "Hi.", "assistant": "안녕 🙂"}
        told = [{"role": role, "content": text} for role, text in (*said.items(), ("user", "And?"))]
        asked = theirs.apply_chat_template(told, tokenize=False, add_generation_prompt=True)
        assert render_prompt(name, TALK, ["안녕 🙂"]) == asked
        whole = theirs.apply_chat_template([*told, {"role": "assistant", "content": "Bye."}], tokenize=False)
        assert "".join(span.text for span in render_training(name, TALK)) == whole


THOUGHTLESS = (
    "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' and not loop.last %}"
    "{{ m.content.split('</think>')[-1].lstrip('\\n') }}{% else %}{{ m.content }}{% endif %}<end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def test_history_is_shown_without_its_thoughts_where_the_template_cuts_them(tokenizer_folder):
    style = tokenizer_folder(THOUGHTLESS)
    said = [f"<think>\nhm {number}\n</think>\n\na{number}" for number in range(3)]
    sample = judgekit.Sample(
        id="1", instruction="q0", reference=said[0], turns=("q1", "q2"), turn_references=tuple(said[1:])
    )
    shown = "<user>q0<end><assistant>a0<end><user>q1<end><assistant>"
    assert render_prompt(style, sample, said[:1]) == shown
    one = LearntItem(Item(sample), (True, False, True))
    texts = [("".join(span.text for span in spans), learnt) for spans, learnt in lessons(style, one)]
    assert texts == [
        (f"<user>q0<end><assistant>{said[0]}<end>", (True,)),
        (f"{shown}a1<end><user>q2<end><assistant>{said[2]}<end>", (False, False, True)),
    ]
    last = LearntItem(Item(sample), (False, False, True))
    assert [learnt for _, learnt in lessons(style, last)] == [(False, False, True)]
    always = THOUGHTLESS.replace(" and not loop.last", "")
    with pytest.raises(judgekit.DataError, match="does not show the answer as it stands"):
        lessons(tokenizer_folder(always, "other"), one)
