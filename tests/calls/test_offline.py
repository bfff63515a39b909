"""Offline: a backend that cannot be asked is who it was in its latest reply."""

import pytest

from judgekit.testing import closed_port


def test_offline_an_ollama_models_digest_is_that_of_its_latest_reply(tmp_path):
    from judgekit.calls.offline import identities

    from judgekit.calls.ledger import Ledger, call_key
    from judgekit.records import Message, Reply, Request
    from judgekit_ollama.backend import OllamaBackend, OllamaOptions

    backend = OllamaBackend(OllamaOptions(model="llama3", host=f"127.0.0.1:{closed_port()}"))
    other = OllamaBackend(OllamaOptions(model="mistral", host=f"127.0.0.1:{closed_port()}"))
    base = {"adapter": "ollama/1", "model": "llama3", "version": "0.1", "num_ctx": 4096, "think": False, "options": {}}
    request = Request(messages=(Message(role="user", content="Hi"),))
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        for digest in ("old", "new"):
            identity = {**base, "digest": digest}
            key, question = call_key(identity, "generate", request, 0, 0)
            ledger.put(key, question, identity, Reply(text=digest))
        assert identities({"judges.main": backend}, ledger)["judges.main"] == {**base, "digest": "new"}
        with pytest.raises(Exception, match=r"offline: no reply of judges\.other"):
            identities({"judges.other": other}, ledger)
