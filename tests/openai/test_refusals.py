"""Error bodies as servers send them → the reply or error that they come to; and whose 403 it is."""

import threading

import pytest

from judgekit import AuthError, BackendError, CallError, Message, ModelNotFound, QuotaError, Request, Sampling
from judgekit_openai.backend import OpenAIBackend, OpenAIOptions
from judgekit_openai.refusals import meaning
from openai_fake import Answer, OpenAIFake, completion, failure
from tables import each

PAGE = "<!DOCTYPE html><html><head><title>403</title></head><body><h1>Request blocked</h1>ID 77</body></html>"
XAI = Answer({"code": "The caller does not have permission to execute the specified operation",
              "error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"}, 403)  # fmt: skip
CHOICE_ERROR = {"id": "x", "choices": [{"index": 0, "error": {"code": 502, "message": "Provider: overloaded"},
                "message": {"role": "assistant", "content": ""}, "finish_reason": "error"}]}  # fmt: skip


def request(text="Grade: 4", **fields):
    return Request(
        messages=(Message(role="user", content=text),), sampling=Sampling(temperature=0.0, max_new_tokens=16), **fields
    )


def backend(fake, **options):
    return OpenAIBackend(OpenAIOptions(**{"model": "judge", "base_url": fake.base_url, "retries": 0} | options))


GATEWAY = "litellm.BadRequestError: litellm.ContentPolicyViolationError: AzureException - The response was filtered"


@each(
    (failure(400, "Content Exists Risk", code="invalid_request_error"), "refused"),
    (failure(400, "Input data may contain inappropriate content.", code="data_inspection_failed"), "refused"),
    (Answer({"error": {"code": "1301", "message": "不安全"}, "contentFilter": [{"level": 1}]}, 400), "refused"),
    (failure(400, GATEWAY, code="400"), "refused"),
    (failure(500, GATEWAY, code="500"), "refused"),
    (failure(400, "no", code="content_policy_violation"), "refused"),
    (failure(400, "no", code="content_filter") , "refused"),
    (Answer({"error": {"code": None, "message": "no", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}, 400),
     "refused"),
    (Answer({"error": {"message": "Your input was flagged", "code": 403}}, 403), "refused"),
    (Answer({"error": {"message": "Content Exists Risk"}}), "refused"),
    (Answer("legal", 451), "refused"),
    (XAI, "refused"),
    (failure(400, "This model's maximum context length is 8192 tokens."), "truncated"),
    (Answer({"object": "error", "message": "The prompt is longer than the maximum model length of 4"}, 400),
     "truncated"),
    (Answer({"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4"}, 422), "truncated"),
    (Answer([{"error": {"code": 400, "message": "The input token count (12) exceeds the maximum number of tokens"
              " allowed (9)."}}], 400), "truncated"),
    (Answer({"error": {"code": 500, "message": "the request exceeds the available context size"}}, 500), "truncated"),
    (Answer("<html><h1>413 Request Entity Too Large</h1></html>", 413), "truncated"),
    (failure(400, "Could not finish the message because max_tokens or model output limit was reached."), "truncated"),
    (Answer({"error": {"message": "the request exceeds the available context size"}}), "truncated"),
    (failure(400, "Failed to generate JSON. Please adjust your prompt.", code="json_validate_failed"), "complete"),
)  # fmt: skip
def test_an_error_about_one_prompt_is_a_reply_with_the_servers_words(answer, status):
    with OpenAIFake([answer]) as fake:
        [reply] = backend(fake, retries=2).generate([request()])
    assert (reply.status, reply.text) == (status, "")
    said = answer.body if isinstance(answer.body, str) else str(answer.body)
    told = reply.detail.partition(": ")[2]
    assert told
    assert told in said or told == "413 Request Entity Too Large"
    assert len(fake.bodies) == 1, "it is not tried again, nor is the key"


def test_what_the_model_wrote_instead_of_json_is_kept():
    body = {"error": {"message": "Failed", "code": "json_validate_failed", "failed_generation": "score: four"}}
    with OpenAIFake([Answer(body, 400)]) as fake:
        [reply] = backend(fake).generate([request()])
    assert (reply.status, reply.text) == ("complete", "score: four")


def test_what_the_server_repeats_of_the_prompt_says_nothing():
    echo = {
        "detail": [{"loc": ["body", "seed"], "msg": "must be an integer", "input": "context window, content policy"}]
    }
    with OpenAIFake([Answer(echo, 422)]) as fake, pytest.raises(CallError, match="must be an integer"):
        backend(fake).generate([request()])


@each(
    Answer(CHOICE_ERROR),
    Answer({"error": {"message": "overloaded"}}),
    Answer({"error": "overloaded"}),
    Answer({"code": 500, "msg": "overloaded"}),
    Answer({"object": "error", "message": "overloaded", "code": 50001}),
    Answer({"base_resp": {"status_code": 1002, "status_msg": "overloaded"}, "choices": None}),
    failure(400, "The model is overloaded"),
    Answer({"type": "error", "error": {"type": "overloaded_error", "message": "overloaded"}}, 529),
    completion("8", finish_reason="abort"),
)
def test_a_busy_server_is_asked_again_and_its_words_are_kept(answer):
    with OpenAIFake([answer, "85"]) as fake:
        [reply] = backend(fake, retries=1).generate([request()])
    assert (reply.text, len(fake.bodies)) == ("85", 2)
    with OpenAIFake([answer]) as fake, pytest.raises(CallError, match=r"overloaded|abort") as caught:
        backend(fake).generate([request()])
    assert "502" not in caught.value.message, "the status is the one on the wire"


@each(
    (Answer({"error": {"code": 401, "message": "no such key"}}), AuthError),
    (Answer({"error": {"code": 402, "message": "pay"}}), QuotaError),
    (Answer({"error": {"code": "insufficient_quota", "message": "pay"}}), QuotaError),
    (Answer({"error": {"code": "model_not_found", "message": "no model"}}), ModelNotFound),
    (Answer({"choices": [{"error": {"code": 401, "message": "the provider's key"}}]}), CallError),
)
def test_an_error_under_status_200_is_what_its_code_says(answer, kind):
    with OpenAIFake([answer]) as fake, pytest.raises(kind) as caught:
        backend(fake).generate([request()])
    assert isinstance(caught.value, CallError) is (kind is CallError)


@each({"choices": [{"message": {"content": "8"}, "finish_reason": "stop"}], "error": None}, [], {}, None)
def test_what_is_no_error_stays(body):
    assert meaning(200, body) == (200, body)


# --- 403 ---


def forbidding(forbidden, answer):
    return lambda body: answer if body["messages"][-1]["content"] in forbidden else "85"


@each(XAI, Answer(PAGE, 403), failure(403, "no"), Answer("", 403))
@pytest.mark.parametrize("place", [0, 3, 7])
def test_a_refused_prompt_is_no_refused_key(answer, place):
    with OpenAIFake(forbidding({f"p{place}"}, answer)) as fake:
        judge, said = backend(fake), []
        for number in range(8):
            try:
                said += [reply.status for reply in judge.generate([request(f"p{number}")])]
            except CallError as error:
                said.append("error" if "403" in error.message else error.message)
    refused = "error" if answer not in (XAI, Answer(PAGE, 403)) else "refused"
    assert said == ["complete" if number != place else refused for number in range(8)]
    assert len(fake.bodies) <= 9, "at most one harmless question more"


def test_every_prompt_but_a_harmless_one_may_be_refused():
    with OpenAIFake(lambda body: "ok" if body["messages"][-1]["content"] == "Hi" else Answer(PAGE, 403)) as fake:
        judge = backend(fake)
        assert [judge.generate([request(f"p{n}")])[0].status for n in range(3)] == ["refused"] * 3
    assert len(fake.bodies) == 4


@each(failure(403, "no"), Answer(PAGE, 403), failure(403, "no", code="permission_denied"))
def test_a_key_that_never_worked_ends_the_run(answer):
    with OpenAIFake([answer]) as fake:
        judge, caught = backend(fake), []

        def ask():
            with pytest.raises(AuthError, match="was refused") as error:
                judge.generate([request()])
            caught.append(error)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(caught) == 4
    assert len(fake.bodies) == 5, "one harmless question for all of them"


def test_many_threads_and_one_refused_prompt():
    replies = []
    with OpenAIFake(forbidding({"p0", "p5"}, Answer(PAGE, 403))) as fake:
        judge = backend(fake)
        threads = [
            threading.Thread(target=lambda n=n: replies.append((n, judge.generate([request(f"p{n}")])[0].status)))
            for n in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(replies) == [(n, "refused" if n in (0, 5) else "complete") for n in range(16)]


def test_a_batch():
    with OpenAIFake(forbidding({"p0"}, Answer(PAGE, 403))) as fake:
        judge = backend(fake, mode="batch", poll=0.01)
        assert [one.status for one in judge.generate([request(f"p{n}") for n in range(3)])] == ["refused"] + 2 * [
            "complete"
        ]
    with OpenAIFake(forbidding({"p0"}, failure(403, "no"))) as fake:
        judge = backend(fake, mode="batch", poll=0.01)
        assert [one.status for one in judge.generate([request(f"p{n}") for n in range(3)])] == ["error"] + 2 * [
            "complete"
        ]
    with OpenAIFake([failure(403, "no")]) as fake, pytest.raises(AuthError, match="no"):
        backend(fake, mode="batch", poll=0.01).generate([request(f"p{n}") for n in range(3)])


def test_log_probabilities_that_a_key_may_not_ask_for_are_no_refused_key():
    answer = failure(403, "You are not allowed to request logprobs from this model")
    with OpenAIFake(lambda body: answer if body.get("logprobs") else "85") as fake:
        judge = backend(fake)
        with pytest.raises(BackendError, match=r"gives no log-probabilities.*not allowed.*mode: reason_json") as caught:
            judge.generate([request(top_logprobs=5)])
        assert type(caught.value) is BackendError
        assert judge.generate([request()])[0].text == "85"
