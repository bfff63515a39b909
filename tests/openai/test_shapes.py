"""The fake, its Batch API and a real server (llama.cpp), asked by the official client and by ours."""

import io
import json
import math

import openai
import pytest
from openai.types import batch_create_params
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming

from judgekit import Message, Request, Sampling
from judgekit_openai.backend import OpenAIBackend, OpenAIOptions
from openai_fake import OpenAIFake, completion, failure
from real_model import llama_url
from tables import each

MESSAGES = [{"role": "user", "content": "Name a colour."}]
SCHEMA = {"enum": ["yes", "no"]}


@pytest.fixture(scope="session")
def llama():
    return llama_url() + "/v1"


def client(base_url, key="none"):
    return openai.OpenAI(base_url=base_url, api_key=key, max_retries=0)


def request(text="Name a colour.", max_new_tokens=6, **fields):
    sampling = Sampling(temperature=0.0, seed=1, max_new_tokens=max_new_tokens)
    return Request(messages=(Message(role="user", content=text),), sampling=sampling, **fields)


def backend(base_url, **options):
    return OpenAIBackend(OpenAIOptions(model="smollm2", base_url=base_url, **options))


def test_the_official_client_reads_the_fakes_completion_and_models():
    with OpenAIFake([completion("85", refusal=None)]) as fake:
        answer = client(fake.base_url).chat.completions.create(model="m", messages=MESSAGES)
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.content == "85"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == 15
    with OpenAIFake(models=["a", "b"]) as fake:
        assert [model.id for model in client(fake.base_url).models.list()] == ["a", "b"]


@each((400, openai.BadRequestError), (401, openai.AuthenticationError), (404, openai.NotFoundError),
 (429, openai.RateLimitError), (500, openai.InternalServerError))  # fmt: skip
def test_the_official_client_reads_the_fakes_errors(status, error):
    answer = failure(status, "so it is", code="some_code", param="temperature")
    with OpenAIFake([answer]) as fake, pytest.raises(error) as caught:
        client(fake.base_url).chat.completions.create(model="m", messages=MESSAGES)
    assert (caught.value.code, caught.value.param) == ("some_code", "temperature")
    assert caught.value.body["message"] == "so it is"


def test_every_field_we_send_is_one_that_the_official_client_knows():
    with OpenAIFake("{}") as fake:
        everything = Sampling(temperature=0.5, top_p=0.9, seed=1, stop=("x",), max_new_tokens=5)
        ask = Request(messages=(Message(role="user", content="hi"),), sampling=everything, json_schema=SCHEMA)
        backend(fake.base_url, max_tokens_field="max_completion_tokens").generate([ask])
    known = CompletionCreateParamsNonStreaming.__annotations__.keys()
    for base in CompletionCreateParamsNonStreaming.__orig_bases__:
        known |= getattr(base, "__annotations__", {}).keys()
    assert fake.bodies[0].keys() <= known


# --- a real model ---


def test_the_official_client_and_ours_get_the_same_answer(llama):
    official = client(llama).chat.completions.create(
        model="smollm2", messages=MESSAGES, temperature=0, seed=1, max_tokens=6, top_p=1,
        extra_body={"cache_prompt": False},
    )  # fmt: skip
    [ours] = backend(llama, extra={"cache_prompt": False}).generate([request()])
    assert ours.text == official.choices[0].message.content
    assert ours.text
    assert ours.usage.prompt_tokens == official.usage.prompt_tokens
    assert {"length": "truncated", "stop": "complete"}[official.choices[0].finish_reason] == ours.status


def test_a_real_server_keeps_to_schema_grammar_and_context(llama):
    [reply] = backend(llama).generate([request("Is it good?", max_new_tokens=8, json_schema=SCHEMA)])
    assert reply.status == "complete"
    assert json.loads(reply.text) in ("yes", "no")
    assert reply.notes == ()
    [reply] = backend(llama).generate([request("word " * 1500)])
    assert reply.status == "truncated"
    assert "does not fit the model's context" in reply.detail
    ask = request("Is grass green?", max_new_tokens=8, json_schema=SCHEMA, top_logprobs=3)
    [reply] = backend(llama, extra={"cache_prompt": False}).generate([ask])
    assert json.loads(reply.text) in ("yes", "no")
    assert "".join(token.text for token in reply.tokens) == reply.text
    grammar = {"grammar": 'root ::= "maybe"', "cache_prompt": False}
    [reply] = backend(llama, extra=grammar).generate([request()])
    assert (reply.text, reply.status) == ("maybe", "complete")


def test_a_real_server_is_examined(llama):
    assert backend(llama, extra={"cache_prompt": False}).check() == []
    [problem] = backend(llama).check()
    assert problem.severity == "warning"
    found = {what: (good, words) for what, good, words in backend(llama).doctor()}
    assert found["answer"][0] is True
    assert found["JSON schema"] == (True, "kept to")
    assert found["log-probabilities"] == (True, "given")
    assert found["batches"] == (None, "not offered")
    assert "cache_prompt" in found["repeatable"][1]
    [problem] = backend(llama, mode="batch", extra={"cache_prompt": False}).check()
    assert "offers no Batch API" in problem.message


def test_a_real_servers_log_probabilities_are_the_official_clients(llama):
    official = client(llama).chat.completions.create(
        model="smollm2", messages=MESSAGES, temperature=0, seed=1, max_tokens=6, top_p=1, logprobs=True, top_logprobs=5,
        extra_body={"cache_prompt": False},
    )  # fmt: skip
    [ours] = backend(llama, extra={"cache_prompt": False}).generate([request(top_logprobs=5)])
    found = official.choices[0].logprobs.content
    assert [(token.text, token.logprob) for token in ours.tokens] == [(token.token, token.logprob) for token in found]
    assert [token.top for token in ours.tokens] == [
        tuple((top.token, top.logprob) for top in token.top_logprobs) for token in found
    ]
    assert "".join(token.text for token in ours.tokens) == ours.text
    for token in ours.tokens:
        assert len(token.top) == 5
        assert token.top[0] == (token.text, token.logprob), "greedy: the likeliest token was taken"
        assert 0.3 < sum(math.exp(logprob) for _, logprob in token.top) <= 1 + 1e-6 or token.logprob < -1


def upload(official, *questions):
    lines = [
        {
            "custom_id": f"call-{place}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "m", "messages": [{"role": "user", "content": question}]},
        }
        for place, question in enumerate(questions)
    ]
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    return content, official.files.create(file=("calls.jsonl", io.BytesIO(content)), purpose="batch")


def create(official, file, **metadata):
    return official.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata=metadata
    )


def test_the_official_client_takes_a_batch_through_the_fake():
    def answer(body):
        question = body["messages"][0]["content"]
        return failure(400, "too odd", param="messages") if question == "odd" else question.upper()

    with OpenAIFake(answer) as fake:
        official = client(fake.base_url)
        content, file = upload(official, "one", "odd", "two")
        assert (file.object, file.bytes, file.purpose) == ("file", len(content), "batch")
        assert official.files.content(file.id).content == content
        batch = create(official, file, made_by="us")
        assert (batch.object, batch.status, batch.metadata) == ("batch", "validating", {"made_by": "us"})
        batch = official.batches.retrieve(batch.id)
        assert (batch.status, batch.request_counts.completed, batch.request_counts.failed) == ("completed", 2, 1)
        good = [json.loads(line) for line in official.files.content(batch.output_file_id).text.splitlines()]
        [bad] = [json.loads(line) for line in official.files.content(batch.error_file_id).text.splitlines()]
    texts = {line["custom_id"]: line["response"]["body"]["choices"][0]["message"]["content"] for line in good}
    assert list(texts.items()) == [("call-2", "TWO"), ("call-0", "ONE")], "results come in another order"
    assert (bad["custom_id"], bad["response"]["status_code"]) == ("call-1", 400)


def test_the_official_client_pages_through_the_fakes_batches():
    with OpenAIFake() as fake:
        fake.batches.page = 2
        official = client(fake.base_url)
        made = [create(official, upload(official, str(number))[1]).id for number in range(5)]
        assert [batch.id for batch in official.batches.list(limit=2)] == made[::-1]


def test_the_official_client_reads_the_fakes_failures():
    with OpenAIFake() as fake:
        official = client(fake.base_url)
        fake.batches.refusal = ("token_limit_exceeded", "Enqueued token limit reached for m.")
        batch = create(official, upload(official, "one")[1])
        batch = official.batches.retrieve(batch.id)
        assert (batch.status, batch.errors.data[0].code) == ("failed", "token_limit_exceeded")
        with pytest.raises(openai.NotFoundError, match="No batch found"):
            official.batches.retrieve("batch_none")
        with pytest.raises(openai.NotFoundError):
            official.files.content("file-none")
        with pytest.raises(openai.BadRequestError):
            official.batches.create(input_file_id="x", endpoint="/v1/chat/completions", completion_window="24h")


def test_what_we_submit_is_what_the_official_client_would():
    with OpenAIFake() as fake:
        ask = Request(messages=(Message(role="user", content="hi"),), sampling=Sampling(temperature=0.0))
        options = OpenAIOptions(model="m", base_url=fake.base_url, mode="batch", poll=0.01)
        OpenAIBackend(options).generate([ask])
        [created] = [call.body for call in fake.calls if (call.method, call.path) == ("POST", "/v1/batches")]
        assert created.keys() <= batch_create_params.BatchCreateParams.__annotations__.keys()
        mine = next(call for call in fake.calls if call.path == "/v1/files")
        upload(client(fake.base_url), "hi")
        theirs = [call for call in fake.calls if call.path == "/v1/files"][-1]
    for name in ("content-type", "accept"):
        assert mine.headers[name].partition(";")[0] == theirs.headers[name].partition(";")[0]
    parts = [part.split(b"\r\n\r\n")[0].strip() for part in mine.body.split(b"--judgekit-")[1:-1]]
    assert b'name="purpose"' in parts[0]
    assert b'name="file"; filename="judgekit-0.jsonl"' in parts[1]
