"""Whose verdict it is: told apart by the server's address and by what it says of its model, or named by the config."""

import json
from pathlib import Path

import pytest

from json_server import Answer
from judgekit.cli import execute
from judgekit.run_folder import RunFolder
from judgekit_openai.backend import OpenAIBackend, OpenAIOptions
from judgekit_openai.served import served_by_llama_cpp, served_by_vllm
from openai_fake import OpenAIFake
from real_model import gguf, llama_url

ITEMS = [{"id": f"s{n}", "instruction": f"Say {n}", "output": f"word {n}", "r": f"word {n}"} for n in range(6)]


class Served(OpenAIFake):
    """A server that says of its model what vLLM or llama.cpp says."""

    def __init__(self, script, *, root="org/weights", file="", port=0):
        super().__init__(script, models=["any"], port=port)
        self.root, self.file = root, file

    def respond(self, call):
        if call.path == "/v1/models" and self.file:
            meta = {"n_params": 7, "size": len(self.file), "n_vocab": 9}
            return Answer({"data": [{"id": "any", "owned_by": "llamacpp", "meta": meta}]})
        if call.path == "/v1/models":
            return Answer({"data": [{"id": "any", "owned_by": "vllm", "root": self.root, "max_model_len": 4096}]})
        if call.path == "/props" and self.file:
            return Answer({"model_path": f"/models/{self.file}", "model_alias": "any", "build_info": "b9-1"})
        return super().respond(call)


@pytest.fixture
def judged(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("data.json").write_text(json.dumps(ITEMS))

    def run(server, *words, **judge):
        judge = {"backend": "openai", "model": "any", "base_url": server.base_url, "mode": "integer"} | judge
        tree = {
            "name": "t",
            "data": {"loader": "instructions", "path": "data.json"},
            "models": {"a": {"backend": "responses", "path": "data.json", "field": "r"}},
            "judges": {"main": {"control_items": 0, **judge}},
            "metrics": {"q": {"type": "score", "judge": "main"}},
            "reports": ["json"],
        }
        Path("judgekit.yaml").write_text(json.dumps(tree))
        code = execute(["run", "--progress", "none", *words])
        out, err = capsys.readouterr()
        newest = max(Path("runs").glob("*/record.json"), key=lambda path: path.stat().st_mtime_ns, default=None)
        record = RunFolder(newest.parent).record() if newest else None
        return code, out + err, record

    return run


def test_vllms_root_and_llama_cpps_file_are_read_and_others_say_nothing():
    listed = [{"id": "m", "root": "org/a", "max_model_len": 9, "owned_by": "vllm"}, {"id": "n", "root": "org/b"}]
    assert served_by_vllm(listed, "m") == {"root": "org/a", "max_model_len": 9}
    assert served_by_vllm([{"id": "m", "owned_by": "openai"}], "m") == served_by_vllm(listed, "other") == {}
    meta = [{"id": "x", "meta": {"n_params": 1, "size": 2, "n_vocab": 3, "n_ctx_train": 4}}]
    props = {"model_path": "C:\\models\\m.gguf", "model_alias": "m", "build_info": "b1", "total_slots": 1}
    sizes = {"n_params": 1, "size": 2, "n_vocab": 3}
    assert served_by_llama_cpp(meta, props) == {**sizes, "file": "m.gguf", "alias": "m", "build": "b1"}
    assert served_by_llama_cpp(meta, None) == sizes


def test_a_real_llama_cpp_says_which_file_it_serves():
    backend = OpenAIBackend(OpenAIOptions(model="any", base_url=f"{llama_url()}/v1"))
    served = backend.identity()["served"]
    assert served["n_params"] > 100_000_000
    assert "file" not in served or served["file"] == gguf().name


@pytest.mark.parametrize("said", [({"root": "org/a"}, {"root": "org/b"}), ({"file": "a.gguf"}, {"file": "bb.gguf"})])
def test_a_model_swapped_behind_one_port_is_another_judge(judged, said):
    with Served("20", **said[0]) as first:
        for _ in range(2):
            assert judged(first)[2].estimates[0].value == 20
            assert len(first.bodies) == 6
        port = int(first.base_url.split(":")[2].split("/")[0])
    assert execute(["baseline", "set", str(next(Path("runs").iterdir())), "base.json"]) == 0
    with Served("85", **said[1], port=port) as second:
        assert judged(second)[2].estimates[0].value == 85
        assert len(second.bodies) == 6
    newest = max(Path("runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert execute(["gate", str(newest), "--baseline", "base.json", "--metric", "q", "--margin", "50"]) == 2


def test_two_addresses_are_two_judges_unless_the_config_names_them_one(judged):
    with Served("20") as first, Served("85") as second:
        assert judged(first)[2].estimates[0].value == 20
        assert judged(second)[2].estimates[0].value == 85
        judged(first, identity="pool")
        code, _, record = judged(second, identity="pool")
        assert (code, record.estimates[0].value, len(first.bodies), len(second.bodies)) == (0, 20, 12, 6)
        identity = record.identities["judges.main"]
        assert (identity["named"], "server" in identity) == ("pool", False)
        second.root = "org/other"
        judged(second, identity="pool")
        assert len(second.bodies) == 12, "one name does not make two models one"


def test_offline_the_ledger_says_who_it_was_and_nobody_is_asked(judged):
    with Served("20") as server:
        judged(server)
        judged(server, identity="pool")
        before = len(server.calls)
        for changes in ({}, {"identity": "pool"}):
            assert judged(server, "--offline", **changes)[0] == 0
        assert len([call for call in server.calls[before:] if call.method == "POST"]) == 0


def test_a_model_swapped_during_a_run_is_an_error(judged):
    def script(body):
        if len(server.bodies) == 3:
            server.root = "org/other"
        return "20"

    with Served(script) as server:
        code, out, _ = judged(server)
        assert code == 4
        assert "judges.main: its server serves another model than when the run began" in out
        assert "org/weights" in out
        assert "org/other" in out


def test_replies_that_are_older_than_the_question_are_asked_for_anew_and_that_is_said(judged, monkeypatch):
    with Served("20") as server:
        with monkeypatch.context() as older:
            older.setattr(OpenAIBackend, "_served", lambda self: {})
            judged(server)
        for words, asked in (("--dry-run",), 6), ((), 12):
            _, out, _ = judged(server, *words)
            assert "note: judges.main: the ledger's replies of this address are older" in out
            assert len(server.bodies) == asked
        assert "note:" not in judged(server)[1]
