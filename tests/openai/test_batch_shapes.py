"""The fake's Batch API as the official client sees it, and ours on the same wire."""

import io
import json

import openai
import pytest
from openai.types import batch_create_params

from judgekit import Message, Request, Sampling
from judgekit_openai.backend import OpenAIBackend, OpenAIOptions
from openai_fake import OpenAIFake, failure


def client(fake):
    return openai.OpenAI(base_url=fake.base_url, api_key="none", max_retries=0)


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
        official = client(fake)
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
        official = client(fake)
        made = [create(official, upload(official, str(number))[1]).id for number in range(5)]
        assert [batch.id for batch in official.batches.list(limit=2)] == made[::-1]


def test_the_official_client_reads_the_fakes_failures():
    with OpenAIFake() as fake:
        official = client(fake)
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
        upload(client(fake), "hi")
        theirs = [call for call in fake.calls if call.path == "/v1/files"][-1]
    for name in ("content-type", "accept"):
        assert mine.headers[name].partition(";")[0] == theirs.headers[name].partition(";")[0]
    parts = [part.split(b"\r\n\r\n")[0].strip() for part in mine.body.split(b"--judgekit-")[1:-1]]
    assert b'name="purpose"' in parts[0]
    assert b'name="file"; filename="judgekit-0.jsonl"' in parts[1]
