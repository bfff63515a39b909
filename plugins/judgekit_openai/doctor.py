"""Checks of `judgekit doctor openai`: two calls of a few tokens each."""

from __future__ import annotations

from collections.abc import Iterator

from judgekit import JudgekitError, Message, Request, Sampling
from judgekit_openai.batch_api import BatchApi
from judgekit_openai.chat import ChatClient

Line = tuple[str, bool | None, str]

_SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}}
_ASK = Request(
    messages=(Message(role="user", content='Reply with the JSON object {"ok": true} and nothing else.'),),
    sampling=Sampling(temperature=0.0, seed=1, max_new_tokens=32),
)


def abilities(client: ChatClient) -> Iterator[Line]:
    """Checks of the model: an answer, a JSON schema, refused parameters, log-probabilities."""
    try:
        reply = client.ask(_ASK.model_copy(update={"json_schema": _SCHEMA}))
    except JudgekitError as error:
        yield "answer", False, error.message
        return
    tokens = (
        f", {reply.usage.prompt_tokens} + {reply.usage.completion_tokens} tokens" if reply.usage else ", no usage told"
    )
    yield "answer", True, f"{reply.status}{f' ({reply.detail})' if reply.detail else ''}{tokens}"
    kept = client.wording.form == "json_schema" and not any("not JSON" in note for note in reply.notes)
    yield "JSON schema", kept or None, "kept to" if kept else "; ".join(reply.notes)
    if left_out := sorted(client.wording.left_out):
        yield "parameters", None, f"refused by the model, and left out: {', '.join(left_out)}"
    try:
        few = _ASK.sampling.model_copy(update={"max_new_tokens": 8})
        given = client.ask(_ASK.model_copy(update={"top_logprobs": 1, "sampling": few})).tokens
        yield "log-probabilities", bool(given) or None, "given" if given else "none came: the reply was empty"
    except JudgekitError as error:
        yield "log-probabilities", None, error.message


def batches(api: BatchApi) -> Line:
    """The check for a Batch API."""
    try:
        offered = api.offered()
    except JudgekitError as error:
        return "batches", None, error.message
    return "batches", offered or None, "offered: `mode: batch` can be used" if offered else "not offered"
