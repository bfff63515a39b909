"""What goes over the wire, what the server may refuse, and what its errors mean."""

from __future__ import annotations

import threading

import pytest

from judgekit import (
    AuthError,
    BackendError,
    CallError,
    Message,
    ModelNotFound,
    QuotaError,
    Request,
    Sampling,
    Unreachable,
)
from judgekit_openai.backend import OpenAIBackend, OpenAIOptions
from judgekit_openai.chat import response_format, strict_schema
from loopback import closed_port
from openai_fake import Answer, OpenAIFake, completion, failure, refuse_parameter

SCHEMA = {"type": "object", "title": "a verdict!", "properties": {"score": {"type": "integer"}}}
JUDGE = Sampling(temperature=0.0, seed=123, max_new_tokens=16)


def request(sampling=JUDGE, **fields):
    messages = (Message(role="system", content="You grade."), Message(role="user", content="Grade: 4"))
    return Request(messages=messages, sampling=sampling, **fields)


def backend(fake, **options):
    return OpenAIBackend(OpenAIOptions(**{"model": "judge", "base_url": fake.base_url, "retries": 0} | options))


def ask(fake, *requests, **options):
    return backend(fake, **options).generate(list(requests) or [request()])


def test_the_body():
    with OpenAIFake("85") as fake:
        sampling = Sampling(temperature=0.5, top_p=0.9, top_k=5, seed=1, stop=("\n",), max_new_tokens=16)
        [reply] = ask(fake, request(sampling), extra={"reasoning_effort": "low"})
    assert reply.text == "85"
    assert fake.bodies == [
        {
            "model": "judge",
            "messages": [{"role": "system", "content": "You grade."}, {"role": "user", "content": "Grade: 4"}],
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 5,
            "seed": 1,
            "stop": ["\n"],
            "max_tokens": 16,
            "reasoning_effort": "low",
        }
    ]


def test_other_servers_get_open_values_as_the_api_documents_them():
    with OpenAIFake("85") as fake:
        ask(fake, request(Sampling()))
    assert fake.bodies[0].keys() == {"model", "messages", "temperature", "top_p"}
    assert (fake.bodies[0]["temperature"], fake.bodies[0]["top_p"]) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("base_url", "field"),
    [
        ("https://api.openai.com/v1", "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", "max_completion_tokens"),
        ("https://mine.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("http://127.0.0.1:8000/v1", "max_tokens"),
        ("https://api.openai.com.example.org/v1", "max_tokens"),
    ],
)
def test_the_cap_on_tokens_is_named_as_the_server_knows_it(base_url, field):
    assert OpenAIBackend(OpenAIOptions(model="m", base_url=base_url)).identity()["max_tokens_field"] == field


def test_the_name_of_the_cap_can_be_chosen():
    with OpenAIFake("85") as fake:
        ask(fake, max_tokens_field="max_completion_tokens")
    assert fake.bodies[0]["max_completion_tokens"] == 16
    assert "max_tokens" not in fake.bodies[0]


def test_a_schema_is_asked_for_strictly():
    with OpenAIFake('{"score": 4}') as fake:
        ask(fake, request(json_schema=SCHEMA))
    asked = fake.bodies[0]["response_format"]
    assert asked["type"] == "json_schema"
    assert asked["json_schema"]["strict"] is True
    assert asked["json_schema"]["name"] == "a_verdict_"
    assert asked["json_schema"]["schema"]["additionalProperties"] is False


def test_strict_schema_closes_nested_objects_and_leaves_literals_alone():
    inner = {"type": "object", "properties": {"a": {"enum": [{"properties": {}}]}}}
    closed = strict_schema({"type": "object", "properties": {"list": {"type": "array", "items": inner}}})
    assert closed["required"] == ["list"]
    nested = closed["properties"]["list"]["items"]
    assert (nested["required"], nested["additionalProperties"]) == (["a"], False)
    assert nested["properties"]["a"] == {"enum": [{"properties": {}}]}


def test_the_schema_name_is_at_most_64_characters():
    assert len(response_format("json_schema", {"title": "x" * 100})["json_schema"]["name"]) == 64


# --- what a model refuses ---


def test_a_refused_parameter_is_left_out_noted_and_remembered():
    def reasoning_model(body):
        refused = next((name for name in ("temperature", "top_p", "seed") if name in body), None)
        return refuse_parameter(refused) if refused else "85"

    with OpenAIFake(reasoning_model) as fake:
        judge = backend(fake)
        first, second = judge.generate([request()]) + judge.generate([request()])
    notes = tuple(f"{name} was refused by the server and left out" for name in ("temperature", "top_p", "seed"))
    assert first.text == second.text == "85"
    assert set(first.notes) == set(second.notes) == set(notes)
    assert len(fake.bodies) == 5  # three refusals and two answers
    assert fake.bodies[-1]["max_tokens"] == 16


def test_a_refused_name_of_the_cap_is_swapped_and_never_dropped():
    def server(body):
        return refuse_parameter("max_tokens", "unsupported_parameter") if "max_tokens" in body else "85"

    with OpenAIFake(server) as fake:
        [reply] = ask(fake)
    assert fake.bodies[-1]["max_completion_tokens"] == 16
    assert reply.notes == ()


def test_a_server_that_refuses_both_names_of_the_cap_is_an_error():
    def server(body):
        name = "max_tokens" if "max_tokens" in body else "max_completion_tokens"
        return refuse_parameter(name, "unsupported_parameter")

    with OpenAIFake(server) as fake, pytest.raises(CallError, match="max_completion_tokens"):
        ask(fake)
    assert len(fake.bodies) == 2


def test_extra_fields_are_the_users_and_never_dropped():
    with OpenAIFake([refuse_parameter("reasoning_effort")]) as fake, pytest.raises(CallError, match="reasoning_effort"):
        ask(fake, extra={"reasoning_effort": "low"})
    assert len(fake.bodies) == 1


def test_other_bad_requests_are_not_tried_again():
    with OpenAIFake([failure(400, "'messages' is too odd", param="messages")]) as fake:
        with pytest.raises(CallError, match="too odd"):
            ask(fake)
        assert len(fake.bodies) == 1


def only_json_object(body):
    kind = body.get("response_format", {}).get("type")
    if kind == "json_schema":
        return failure(400, "Invalid parameter: 'response_format' of type 'json_schema' is not supported.",
                       param="response_format")  # fmt: skip
    return '{"score": 4}' if kind == "json_object" else "no JSON asked for"


def no_json(body):
    return failure(400, "response_format is unknown here") if "response_format" in body else "4"


@pytest.mark.parametrize(("server", "form", "calls"), [(only_json_object, "json_object", 2), (no_json, "none", 3)])
def test_a_refused_schema_gives_way_step_by_step(server, form, calls):
    with OpenAIFake(server) as fake:
        judge = backend(fake)
        replies = judge.generate([request(json_schema=SCHEMA)]) + judge.generate([request(json_schema=SCHEMA)])
    assert {reply.text for reply in replies} == {'{"score": 4}' if form == "json_object" else "4"}
    note = f"the server refused a JSON schema; asked with response_format {form}"
    assert [reply.notes for reply in replies] == [(note,), (note,)]
    assert len(fake.bodies) == calls + 1


def test_a_chosen_response_format_never_gives_way():
    with OpenAIFake(no_json) as fake, pytest.raises(CallError, match="unknown here"):
        ask(fake, request(json_schema=SCHEMA), response_format="json_schema")


def test_a_schema_of_ours_that_is_wrong_is_an_error():
    wrong = failure(400, "Invalid schema for response_format 'reply': 'type' is missing", param="response_format")
    with OpenAIFake([wrong]) as fake, pytest.raises(CallError, match="Invalid schema"):
        ask(fake, request(json_schema=SCHEMA))
    assert len(fake.bodies) == 1


def test_many_threads_learn_a_refusal_and_all_are_answered():
    def server(body):
        return refuse_parameter("temperature") if "temperature" in body else only_json_object(body)

    replies = []
    with OpenAIFake(server) as fake:
        judge = backend(fake)
        work = [
            threading.Thread(target=lambda: replies.extend(judge.generate([request(json_schema=SCHEMA)])))
            for _ in range(16)
        ]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
    assert len(replies) == 16
    assert {reply.text for reply in replies} == {'{"score": 4}'}
    assert len({reply.notes for reply in replies}) == 1


# --- errors ---


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (failure(404, "The model `judge` does not exist", code="model_not_found"), ModelNotFound, "no model 'judge'"),
        (Answer({"object": "error", "message": "The model `judge` does not exist.", "type": "NotFoundError",
                 "param": None, "code": 404}, 404), ModelNotFound, "has no model 'judge'"),
        (failure(404, "The API deployment for this resource does not exist", code="DeploymentNotFound"), ModelNotFound,
         "no model"),
        (failure(404, "Invalid URL (POST /chat/completions)"), BackendError, "is base_url right"),
        (Answer("<html><title>404</title><body>Not Found</body></html>", 404), BackendError, "is base_url right"),
        (failure(401, "Incorrect API key provided"), AuthError, "key_env"),
        (failure(429, "You exceeded your current quota", code="insufficient_quota"), QuotaError, "out of credit"),
        (failure(429, "Rate limit reached", code="rate_limit_exceeded"), CallError, "429"),
        (failure(500, "The server had an error"), CallError, "500"),
        (Answer("<html>Bad Gateway</html>", 502), CallError, "Bad Gateway"),
        (Answer({"error": "text"}, 400), CallError, "text"),
        (Answer("", 503), CallError, "503"),
        (Answer("<html>fine</html>"), CallError, "not JSON"),
        (Answer('{"choices": [{"mess'), CallError, "not JSON"),
        (Answer('{"choices": NaN}'), CallError, "not JSON"),
        (Answer(drop=True), CallError, "lost"),
    ],
)  # fmt: skip
def test_errors_are_told_apart(answer, error, words):
    with OpenAIFake([answer]) as fake, pytest.raises(error, match=words) as caught:
        ask(fake)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    "answer",
    [
        failure(400, "This model's maximum context length is 8192 tokens.", code="context_length_exceeded"),
        Answer({"object": "error", "type": "BadRequestError", "code": 400,
                "message": "This model's maximum context length is 2048 tokens. However, you requested 3000."}, 400),
        Answer({"error": {"code": 400, "type": "exceed_context_size_error", "n_ctx": 2048,
                          "message": "request (6031 tokens) exceeds the available context size (2048 tokens)"}}, 400),
    ],
)  # fmt: skip
def test_a_prompt_that_does_not_fit_is_a_truncated_reply(answer):
    with OpenAIFake([answer]) as fake:
        [reply] = ask(fake)
    assert (reply.status, reply.text) == ("truncated", "")
    assert "does not fit the model's context" in reply.detail


def test_a_prompt_that_the_policy_forbids_is_a_refused_reply():
    with OpenAIFake([failure(400, "The prompt triggered the content policy", code="content_filter")]) as fake:
        [reply] = ask(fake)
    assert (reply.status, reply.text) == ("refused", "")


def test_nothing_listens():
    dead = OpenAIBackend(OpenAIOptions(model="m", base_url=f"http://127.0.0.1:{closed_port()}/v1", retries=0))
    with pytest.raises(Unreachable, match="no connection"):
        dead.generate([request()])


def test_a_busy_server_is_asked_again_by_the_transport():
    busy = failure(429, "slow down", code="rate_limit_exceeded", headers={"retry-after-ms": "10"})
    with OpenAIFake([busy, completion("85")]) as fake:
        [reply] = ask(fake, retries=1)
    assert (reply.text, len(fake.bodies)) == ("85", 2)


def test_a_server_that_hangs_is_given_up_on():
    with OpenAIFake([Answer({}, pause=1.0)]) as fake, pytest.raises(CallError, match=r"within 0\.2 s"):
        ask(fake, deadline=0.2)
