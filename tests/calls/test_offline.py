"""Offline: a backend that cannot be asked is who it was in its latest reply."""

from __future__ import annotations

from pathlib import Path

import pytest

from judgekit import Http
from judgekit.testing import closed_port


def test_offline_an_ollama_models_digest_is_that_of_its_latest_reply(tmp_path: Path) -> None:
    from judgekit.calls.ledger import Ledger, call_key
    from judgekit.calls.policies import Offline
    from judgekit.records import Message, Reply, Request
    from judgekit_ollama.backend import OllamaBackend, OllamaOptions

    port = closed_port()
    backend = OllamaBackend(OllamaOptions(model="llama3", host=f"127.0.0.1:{port}"))
    other = OllamaBackend(OllamaOptions(model="mistral", host=f"127.0.0.1:{port}"))
    base = {"adapter": "ollama/1", "model": "llama3", "version": "0.1", "num_ctx": 4096, "think": False, "options": {}}
    base |= {"server": Http.address(f"http://127.0.0.1:{port}")}
    request = Request(messages=(Message(role="user", content="Hi"),))
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        for digest in ("old", "new"):
            identity = {**base, "digest": digest}
            key, question = call_key(identity, "generate", request, 0, 0)
            ledger.put(key, question, identity, Reply(text=digest))
        assert Offline().identities({"judges.main": backend}, ledger)["judges.main"] == {**base, "digest": "new"}
        with pytest.raises(Exception, match=r"offline: no reply of judges\.other"):
            Offline().identities({"judges.other": other}, ledger)
