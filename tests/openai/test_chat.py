"""What goes over the wire, what the server may refuse, and what its errors mean."""

import threading

import pytest

from json_server import JsonServer
from judgekit import (
    AuthError,
    BackendError,
    CallError,
    Message,
    ModelNotFound,
    QuotaError,
    Request,
    Sampling,
    Token,
    Unreachable,
)
from judgekit.testing import closed_port
from judgekit_openai.backend import OpenAIBackend, OpenAIOptions
from judgekit_openai.chat import response_format, strict_schema
from openai_fake import Answer, OpenAIFake, completion, failure, refuse_parameter
from tables import each

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


def test_the_body_and_its_schema():
    with OpenAIFake("85") as fake:
        ask(fake, request(Sampling()))
    assert fake.bodies[0].keys() == {"model", "messages", "temperature", "top_p"}
    assert (fake.bodies[0]["temperature"], fake.bodies[0]["top_p"]) == (1.0, 1.0)
    with OpenAIFake("85") as fake:
        ask(fake, max_tokens_field="max_completion_tokens")
    assert fake.bodies[0]["max_completion_tokens"] == 16
    assert "max_tokens" not in fake.bodies[0]
    with OpenAIFake('{"score": 4}') as fake:
        ask(fake, request(json_schema=SCHEMA))
    asked = fake.bodies[0]["response_format"]
    assert asked["type"] == "json_schema"
    assert asked["json_schema"]["strict"] is True
    assert asked["json_schema"]["name"] == "a_verdict_"
    assert asked["json_schema"]["schema"]["additionalProperties"] is False
    inner = {"type": "object", "properties": {"a": {"enum": [{"properties": {}}]}}}
    closed = strict_schema({"type": "object", "properties": {"list": {"type": "array", "items": inner}}})
    assert closed["required"] == ["list"]
    nested = closed["properties"]["list"]["items"]
    assert (nested["required"], nested["additionalProperties"]) == (["a"], False)
    assert nested["properties"]["a"] == {"enum": [{"properties": {}}]}
    assert len(response_format("json_schema", {"title": "x" * 100})["json_schema"]["name"]) == 64
    named = {"properties": {"type": "string"}, "enum": {"type": "object", "properties": {"a": {}}}}
    closed = strict_schema({"type": "object", "properties": named})
    assert closed["required"] == ["properties", "enum"]
    assert closed["properties"]["properties"] == {"type": "string"}
    assert closed["properties"]["enum"]["additionalProperties"] is False
    assert strict_schema({"type": ["object", "null"], "properties": {"a": {}}})["required"] == ["a"]


@each(
    ("https://api.openai.com/v1", "max_completion_tokens"),
    ("https://eu.api.openai.com/v1", "max_completion_tokens"),
    ("https://mine.openai.azure.com/openai/v1", "max_completion_tokens"),
    ("http://127.0.0.1:8000/v1", "max_tokens"),
    ("https://api.openai.com.example.org/v1", "max_tokens"),
)
def test_the_cap_on_tokens_is_named_as_the_server_knows_it(base_url, field):
    assert OpenAIBackend(OpenAIOptions(model="m", base_url=base_url)).identity()["max_tokens_field"] == field


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


def test_the_name_of_the_cap_is_swapped_never_dropped():
    def server(body):
        return refuse_parameter("max_tokens", "unsupported_parameter") if "max_tokens" in body else "85"

    with OpenAIFake(server) as fake:
        [reply] = ask(fake)
    assert fake.bodies[-1]["max_completion_tokens"] == 16
    assert reply.notes == ()

    def server(body):
        name = "max_tokens" if "max_tokens" in body else "max_completion_tokens"
        return refuse_parameter(name, "unsupported_parameter")

    with OpenAIFake(server) as fake, pytest.raises(CallError, match="max_completion_tokens"):
        ask(fake)
    assert len(fake.bodies) == 2


def test_what_the_user_chose_never_gives_way():
    with OpenAIFake([refuse_parameter("reasoning_effort")]) as fake, pytest.raises(CallError, match="reasoning_effort"):
        ask(fake, extra={"reasoning_effort": "low"})
    assert len(fake.bodies) == 1
    with OpenAIFake([failure(400, "'messages' is too odd", param="messages")]) as fake:
        with pytest.raises(CallError, match="too odd"):
            ask(fake)
        assert len(fake.bodies) == 1
    with OpenAIFake(no_json) as fake, pytest.raises(CallError, match="unknown here"):
        ask(fake, request(json_schema=SCHEMA), response_format="json_schema")
    wrong = failure(400, "Invalid schema for response_format 'reply': 'type' is missing", param="response_format")
    with OpenAIFake([wrong]) as fake, pytest.raises(CallError, match="Invalid schema"):
        ask(fake, request(json_schema=SCHEMA))
    assert len(fake.bodies) == 1


def only_json_object(body):
    kind = body.get("response_format", {}).get("type")
    if kind == "json_schema":
        return failure(400, "Invalid parameter: 'response_format' of type 'json_schema' is not supported.",
                       param="response_format")  # fmt: skip
    return '{"score": 4}' if kind == "json_object" else "no JSON asked for"


def no_json(body):
    return failure(400, "response_format is unknown here") if "response_format" in body else "4"


@each((only_json_object, "json_object", 2), (no_json, "none", 3))
def test_a_refused_schema_gives_way_step_by_step(server, form, calls):
    with OpenAIFake(server) as fake:
        judge = backend(fake)
        replies = judge.generate([request(json_schema=SCHEMA)]) + judge.generate([request(json_schema=SCHEMA)])
    assert {reply.text for reply in replies} == {'{"score": 4}' if form == "json_object" else "4"}
    note = f"the server refused a JSON schema; asked with response_format {form}"
    assert [reply.notes for reply in replies] == [(note,), (note,)]
    assert len(fake.bodies) == calls + 1


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


# --- refusals in other words ---


def detail(*loc):
    return {"detail": [{"type": "extra_forbidden", "loc": ["body", *loc], "msg": "Extra inputs are not permitted"}]}


AZURE_FILTER = {"error": {"message": "The response was filtered", "type": None, "param": "prompt",
                          "code": "content_filter", "status": 400,
                          "innererror": {"code": "ResponsibleAIPolicyViolation"}}}  # fmt: skip


@each(
    refuse_parameter("temperature", "unsupported_parameter"),
    refuse_parameter("temperature.default", "unknown_parameter"),
    failure(400, "Unrecognized request argument supplied: temperature"),
    failure(400, "temperature is not supported with this model", param="temperature"),
    failure(400, "This model does not support the parameter `temperature`.", code=400),
    Answer({"error": "temperature is not supported by this model"}, 400),
    Answer({"object": "error", "message": "Unsupported parameter: 'temperature'", "param": None, "code": 400}, 400),
    Answer(detail("temperature"), 422),
    Answer({"object": "error", "message": detail("temperature"), "type": "invalid_request_error"}, 422),
    Answer([{"error": {"code": 400, "message": 'Unknown name "temperature": cannot find field.'}}], 400),
    Answer({"error": {"message": "Provider returned error", "code": 400, "metadata": {
        "raw": '{"error": {"message": "No.", "param": "temperature", "code": "unsupported_value"}}'}}}, 400),
    Answer({"error": {"message": "litellm.BadRequestError: OpenAIException - Error code: 400 - {'error': "
            "{'message': \"Unsupported value: 'temperature' does not support 0 with this model.\", "
            "'param': 'temperature'}}",
            "type": None, "param": None, "code": "400"}}, 400),
)  # fmt: skip
def test_a_refused_parameter_is_recognised_in_every_shape(answer):
    with OpenAIFake(lambda body: answer if "temperature" in body else "85") as fake:
        [reply] = ask(fake)
    assert reply.text == "85"
    assert reply.notes == ("temperature was refused by the server and left out",)


@each(
    failure(400, "Invalid value for 'temperature': must be at most 2", param="temperature", code="invalid_value"),
    failure(400, "The stop of this service is near; seed and stop are words. Streaming is not supported."),
    failure(400, "Unsupported value: 'messages[0].role' does not support 'system'", code="unsupported_value",
            param="messages[0].role"),
    Answer("<html>temperature is not supported</html>", 500),
)  # fmt: skip
def test_what_is_no_refusal_of_a_parameter_is_an_error(answer):
    with OpenAIFake([answer]) as fake, pytest.raises(CallError):
        ask(fake, retries=0)
    assert len(fake.bodies) == 1


@each(
    failure(400, "Unrecognized request argument supplied: max_completion_tokens"),
    failure(400, "Unsupported parameter: 'max_completion_tokens'. Use 'max_tokens' instead."),
    Answer(detail("max_completion_tokens"), 422),
)
def test_an_old_server_gets_the_old_name_of_the_cap(answer):
    with OpenAIFake(lambda body: answer if "max_completion_tokens" in body else "85") as fake:
        ask(fake, request(), request(), max_tokens_field="max_completion_tokens")
    assert [body.get("max_tokens") for body in fake.bodies] == [None, 16, 16]


@each(
    ("This response_format type is unavailable now", None),
    ("json_schema is not supported by this model", None),
    ("Structured outputs are not available for this model", None),
    ("No such value", "response_format.json_schema"),
    ("'messages' must contain the word 'json' to use 'response_format' of type 'json_object'.", "messages"),
)
def test_a_refused_way_to_ask_for_json_is_recognised(words, param):
    with OpenAIFake(lambda body: failure(400, words, param=param) if "response_format" in body else "4") as fake:
        [reply] = ask(fake, request(json_schema=SCHEMA))
    assert reply.notes == ("the server refused a JSON schema; asked with response_format none",)


def test_a_server_that_passes_over_the_schema_is_noted():
    with OpenAIFake("I would say four.") as fake:
        [reply] = ask(fake, request(json_schema=SCHEMA))
    assert (reply.text, reply.status) == ("I would say four.", "complete")
    assert reply.notes == ("the reply to a JSON schema is not JSON",)


# --- log-probabilities ---

FOUR = [
    {"token": "4", "logprob": -0.1, "bytes": [52], "top_logprobs": [{"token": "4", "logprob": -0.1, "bytes": [52]}]}
]


def test_log_probabilities_are_asked_for_and_their_absence_is_a_failure():
    with OpenAIFake([completion("4", logprobs=FOUR)]) as fake:
        [reply] = ask(fake, request(top_logprobs=20))
        ask(fake)
    assert reply.tokens == (Token(text="4", logprob=-0.1, top=(("4", -0.1),)),)
    assert (fake.bodies[0]["logprobs"], fake.bodies[0]["top_logprobs"]) == (True, 20)
    assert not fake.bodies[1].keys() & {"logprobs", "top_logprobs"}
    thought = [{**FOUR[0], "token": word} for word in ("5", "</think>", "\n")]
    with OpenAIFake([completion("4", logprobs=[*thought, *FOUR], reasoning_content="5")]) as fake:
        [reply] = ask(fake, request(top_logprobs=20))
    assert "".join(token.text for token in reply.tokens).strip() == "4", "vLLM gives the tokens of the thoughts too"
    with OpenAIFake([completion("4", logprobs=thought, reasoning_content="5")]) as fake:
        [reply] = ask(fake, request(top_logprobs=20))
    assert (reply.tokens, len(reply.notes)) == ((), 1)
    with OpenAIFake([completion("4", logprobs=FOUR), completion("4")]) as fake:
        judge = backend(fake)
        judge.generate([request(top_logprobs=5)])
        with pytest.raises(CallError, match="gives no log-probabilities"):
            judge.generate([request(top_logprobs=5)])


@each(
    failure(400, "'logprobs' is not supported with this model.", param="logprobs", code="unsupported_parameter"),
    failure(400, "You are not allowed to request logprobs from this model"),
    failure(422, "Requested sample logprobs of 20, which is greater than max allowed: 5"),
    completion("4"),
    completion("4", logprobs=[]),
    completion("4", logprobs=[{**FOUR[0], "top_logprobs": []}]),
)
def test_a_model_without_log_probabilities_is_named_and_nothing_more_is_sent(answer):
    with OpenAIFake([answer]) as fake, pytest.raises(BackendError, match=r"'judge' at .* gives no log-probabilities"):
        ask(fake, request(top_logprobs=20))
    assert len(fake.bodies) == 1, "they are never left out to please the server"


@each(completion(None), completion(None, refusal="No."), completion("8", finish_reason="content_filter"))
def test_a_reply_without_text_has_no_tokens(answer):
    with OpenAIFake([answer]) as fake:
        [reply] = ask(fake, request(top_logprobs=5))
    assert reply.tokens == ()


# --- errors ---


@each(
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
)  # fmt: skip
def test_errors_are_told_apart(answer, error, words):
    with OpenAIFake([answer]) as fake, pytest.raises(error, match=words) as caught:
        ask(fake)
    assert type(caught.value) is error


@each(
    (failure(400, "This model's maximum context length is 8192 tokens.", code="context_length_exceeded"), "truncated"),
    (Answer({"object": "error", "type": "BadRequestError", "code": 400,
             "message": "This model's maximum context length is 2048 tokens. However, you requested 3000."}, 400),
     "truncated"),
    (Answer({"error": {"code": 400, "type": "exceed_context_size_error", "n_ctx": 2048,
                       "message": "request (6031 tokens) exceeds the available context size (2048 tokens)"}}, 400),
     "truncated"),
    (failure(400, "The prompt triggered the content policy", code="content_filter"), "refused"),
    (failure(400, "Invalid prompt: it was flagged.", code="invalid_prompt"), "refused"),
    (Answer(AZURE_FILTER, 400), "refused"),
    (Answer({"error": {"code": 403, "message": "Your input was flagged",
                       "metadata": {"reasons": ["violence"], "flagged_input": "Grade"}}}, 403), "refused"),
)  # fmt: skip
def test_a_prompt_that_the_server_does_not_take_is_a_reply_of_its_own_status(answer, status):
    with OpenAIFake([answer]) as fake:
        [reply] = ask(fake)
    assert (reply.status, reply.text) == (status, "")
    assert ("does not fit the model's context" in reply.detail) is (status == "truncated")


def test_a_server_that_moved_is_gone_busy_or_slow():
    moved = Answer("", 308, headers={"location": "https://elsewhere.example/v1/chat/completions"})
    words = r"redirect to https://elsewhere.example/.*set base_url"
    with OpenAIFake([moved]) as fake, pytest.raises(BackendError, match=words):
        ask(fake)
    with JsonServer(lambda call: moved) as server:
        [problem] = OpenAIBackend(OpenAIOptions(model="m", base_url=f"{server.url}/v1")).check()
    assert (problem.severity, problem.exit_code) == ("error", 4)
    assert "https://elsewhere.example" in problem.message
    dead = OpenAIBackend(OpenAIOptions(model="m", base_url=f"http://127.0.0.1:{closed_port()}/v1", retries=0))
    with pytest.raises(Unreachable, match="no connection"):
        dead.generate([request()])
    busy = failure(429, "slow down", code="rate_limit_exceeded", headers={"retry-after-ms": "10"})
    with OpenAIFake([busy, completion("85")]) as fake:
        [reply] = ask(fake, retries=1)
    assert (reply.text, len(fake.bodies)) == ("85", 2)
    with OpenAIFake([Answer({}, pause=1.0)]) as fake, pytest.raises(CallError, match=r"within 0\.2 s"):
        ask(fake, deadline=0.2)
