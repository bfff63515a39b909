"""Messages in the models' own chat templates, which are programs of their makers."""

import pytest

from asking_transformers import asked, backend_of
from judgekit import Message, Request
from judgekit.testing import tiny_llama

STRICT = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
DEAF = (
    "{% for m in messages if m['role'] != 'system' %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}<|im_start|>assistant\n"
)
DATED = "{{ strftime_now('%d %b %Y') }} or {{ strftime_now('%Y-%m-%d') }} " + tiny_llama.TEMPLATE


@pytest.mark.parametrize("template", [STRICT + tiny_llama.TEMPLATE, DEAF])
def test_a_template_without_system_messages_gets_them_in_the_first_user_message(tmp_path, template):
    backend = backend_of(tiny_llama.folder(tmp_path, chat_template=template))
    system, user = Message(role="system", content="Be brief."), Message(role="user", content="the cat")
    both = Request(messages=(system, user), continuations=(" a",))
    merged = Request(messages=(Message(role="user", content="Be brief.\n\nthe cat"),), continuations=(" a",))
    (one,), (other,) = backend.loglikelihood([both]), backend.loglikelihood([merged])
    assert one.continuations == other.continuations
    assert one.notes == ("the model's chat template takes no system message: it leads the first user message",)
    assert other.notes == ()
    (written,) = backend.generate([both])
    assert written.notes == one.notes
    (alone,) = backend.loglikelihood([Request(messages=(system,), continuations=(" a",))])
    assert alone.status == "complete"


def test_a_template_that_takes_system_messages_gets_them(tmp_path):
    backend = backend_of(tiny_llama.folder(tmp_path))
    messages = (Message(role="system", content="Be brief."), Message(role="user", content="the cat"))
    (reply,) = backend.loglikelihood([Request(messages=messages, continuations=(" a",))])
    assert reply.notes == ()
    spelled = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nthe cat<|im_end|>\n<|im_start|>assistant\n"
    (plain,) = backend_of(tmp_path, chat=False).loglikelihood([asked(spelled, " a")])
    assert plain.continuations == reply.continuations


def test_a_template_with_todays_date_gets_the_same_date_every_day(tmp_path):
    backend = backend_of(tiny_llama.folder(tmp_path, chat_template=DATED))
    (reply,) = backend.loglikelihood([asked("the cat", " a")])
    spelled = "26 Jul 2024 or 2024-07-26 <|im_start|>user\nthe cat<|im_end|>\n<|im_start|>assistant\n"
    (plain,) = backend_of(tmp_path, chat=False).loglikelihood([asked(spelled, " a")])
    assert plain.continuations == reply.continuations
