"""Checks of `judgekit doctor --live openai` that are about this protocol: the list of models, batches, the context."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from judgekit import JudgekitError, Message, Request, Sampling
from judgekit_openai.batch_api import BatchApi, ServerBatch
from judgekit_openai.chat import ChatClient

Line = tuple[str, bool | None, str, str]

_ASK = Request(
    messages=(Message(role="user", content="Answer with one word only: is water wet?"),),
    sampling=Sampling(temperature=0.0, top_p=1.0, seed=1, max_new_tokens=16),
)
_LOOKS, _PAUSE = 3, 1.0  # at a batch, and the seconds before each


def listing(listed: Sequence[Mapping[str, Any]], model: str, *, one_for_all: bool) -> Line:
    """`one_for_all`: a server of one model, however it is called (llama.cpp)."""
    what, names = "list of models", [str(item.get("id")) for item in listed]
    if not names:
        return what, None, "none", "a wrong `model` is found by the first call, not before the run"
    if model in names or one_for_all:
        return what, True, f"{len(names)}, {model} among them" if model in names else f"serves {names[0]} alone", "–"
    return what, False, f"{model} is not among {len(names)}", "set `model` to one that the server has"


def batch(client: ChatClient, api: BatchApi) -> Line:
    """A batch of one request: handed in, looked at, and its result read where it comes within seconds."""
    what = "batches"
    try:
        with tempfile.TemporaryDirectory() as folder:
            sent = _submitted(client, api, Path(folder))
            for _ in range(_LOOKS):
                if sent.ended:
                    break
                api.http.pause(_PAUSE)
                sent = api.get(sent.id) or sent
            if not sent.ended:
                found = f"accepted, and {sent.status} after {_LOOKS * _PAUSE:g} s"
                return what, True, found, "`mode: batch` can be used; the shape of its results was not seen"
            results = list(api.results(sent, Path(folder)))
            replies = [client.read(one.body, _ASK, ()).status for one in results if one.status == 200]
    except JudgekitError as error:
        return what, None, error.message, "`mode: batch` cannot be used"
    if not replies:
        return what, None, f"ended as {sent.status}, without a result: {sent.errors}", "`mode: batch` cannot be used"
    return what, True, f"{sent.status}, its reply {replies[0]}", "`mode: batch` can be used"


def _submitted(client: ChatClient, api: BatchApi, folder: Path) -> ServerBatch:
    body, _ = client.body(_ASK, client.wording)
    call = {"custom_id": "judgekit-live", "method": "POST", "url": api.endpoint, "body": body}
    line = json.dumps(call).encode("ascii") + b"\n"
    path = folder / "judgekit-live.jsonl"
    path.write_bytes(line)
    return api.create(api.upload(path), hashlib.sha256(line).hexdigest(), 1)


def context_of_llama_cpp(props: Any) -> int | None:
    """The context of one slot, from /props."""
    settings = props.get("default_generation_settings") if isinstance(props, dict) else None
    size = settings.get("n_ctx") if isinstance(settings, dict) else None
    return size if isinstance(size, int) and size > 0 else None


def context_of_vllm(listed: Sequence[Mapping[str, Any]], model: str) -> int | None:
    size = next((item.get("max_model_len") for item in listed if item.get("id") == model), None)
    return size if isinstance(size, int) and size > 0 else None
