"""The checks of `judgekit doctor --live openai` that are about the protocol."""

from __future__ import annotations

from typing import Any

import pytest

from judgekit.testing import check_live
from judgekit_openai.backend import OpenAIBackend, OpenAIOptions
from judgekit_openai.live import context_of_llama_cpp, context_of_vllm, listing
from openai_fake import OpenAIFake, failure

LISTED: list[dict[str, Any]] = [{"id": "m", "max_model_len": 4096}, {"id": "other", "max_model_len": "many"}]


@pytest.mark.parametrize(
    ("model", "one_for_all", "holds"), [("m", False, True), ("x", False, False), ("x", True, True)]
)
def test_a_model_that_is_not_listed_cannot_be_asked(model: str, one_for_all: bool, holds: bool) -> None:
    assert listing(LISTED, model, one_for_all=one_for_all)[1] is holds
    assert listing([], model, one_for_all=False)[1] is None


def test_the_context_is_what_the_server_tells_and_else_unknown() -> None:
    assert [context_of_vllm(LISTED, name) for name in ("m", "other", "third")] == [4096, None, None]
    assert context_of_llama_cpp({"default_generation_settings": {"n_ctx": 512}}) == 512
    assert [context_of_llama_cpp(odd) for odd in ({}, None, "page", {"default_generation_settings": {"n_ctx": 0}})] == [
        None
    ] * 4


def line(server: OpenAIFake, what: str) -> tuple[bool | None, str]:
    backend = OpenAIBackend(OpenAIOptions(model="m", base_url=server.base_url, retries=0))
    found = {one.what: one for one in check_live(backend)}
    backend.close()
    return found[what].holds, found[what].found


def test_a_batch_is_proved_as_far_as_it_goes() -> None:
    with OpenAIFake("yes", models=["m"]) as server:
        assert line(server, "batches") == (True, "completed, its reply complete")
        assert server.batches is not None
        server.batches.held = True
        holds, found = line(server, "batches")
        assert holds is True
        assert "accepted" in found
        server.batches.held = False
        server.batches.refusal = ("invalid", "no batches for you")
        assert line(server, "batches")[0] is None
        server.batches = None
        assert line(server, "batches")[0] is None


def test_a_batch_whose_line_fails_is_no_proof() -> None:
    def script(body: dict[str, Any]) -> Any:
        return failure(400, "no") if body["max_tokens"] == 16 else "yes"

    with OpenAIFake(script, models=["m"]) as server:
        assert line(server, "batches")[0] is None
