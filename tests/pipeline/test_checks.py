"""Whose log-probabilities are read, and who is asked for some before anything is generated."""

import json

import pytest

from judgekit.cli import execute
from judgekit.config.blocks import RunConfig
from judgekit.errors import BackendError
from judgekit.pipeline.checks import TRIAL, by_tokens, try_by_tokens
from judgekit.pipeline.run import Run, Settings
from judgekit.plugins import build_manager
from openai_fake import OpenAIFake


@pytest.fixture
def prepared(tmp_path):
    """A run with these metrics and judge modes, prepared; the fakes of its system and judge."""
    item = {"id": "1", "question": "Q?", "choices": ["a", "b"], "answer": 0, "instruction": "Q?", "output": "a"}
    (tmp_path / "items.json").write_text(json.dumps([item]))

    def make(stack, system, judge, metrics, **more):
        tree = {
            "name": "x",
            "data": {"loader": "instructions", "path": "items.json"},
            "models": {"a": {"backend": "openai", "model": "a", "base_url": system.base_url}},
            "judges": {"main": {"backend": "openai", "model": "j", "base_url": judge.base_url} | more},
            "metrics": metrics,
        }
        run = Run(RunConfig.model_validate(tree), tmp_path, build_manager(), Settings(tmp_path / "r", tmp_path / "h"))
        ready = run._prepare(stack)
        return ready, run._open(ready, stack)

    return make


SCORE = {"q": {"type": "score", "judge": "main"}}


@pytest.mark.parametrize(("mode", "labels"), [("integer", []), ("yes_no", ["judges.main"])])
def test_a_judge_that_is_read_by_tokens_is_asked_for_one(prepared, mode, labels):
    from contextlib import ExitStack

    criterion = {"criterion": "Is it polite?"} if mode == "yes_no" else {}
    with OpenAIFake("a") as system, OpenAIFake("50") as judge, ExitStack() as stack:
        ready, opened = prepared(stack, system, judge, SCORE, mode=mode, **criterion)
        assert by_tokens(ready) == labels
        if labels:
            with pytest.raises(BackendError, match="gives no log-probabilities"):
                try_by_tokens(ready, opened.callers)
        else:
            try_by_tokens(ready, opened.callers)
        assert [body["max_tokens"] for body in judge.bodies] == [1] * len(labels)
        assert system.bodies == []
        assert TRIAL.top_logprobs


def test_a_batch_of_one_call_is_not_waited_for(prepared):
    from contextlib import ExitStack

    with OpenAIFake("a") as system, OpenAIFake("50") as judge, ExitStack() as stack:
        ready, opened = prepared(stack, system, judge, SCORE, mode="yes_no", criterion="Is it?", batch=True)
        try_by_tokens(ready, opened.callers)
        assert by_tokens(ready) == ["judges.main"]
        assert judge.bodies == []


def test_multiple_choice_by_log_probabilities_is_tried_too(tmp_path, capsys):
    items = [{"question": "Q?", "choices": ["a", "b"], "answer": 0, "subject": "s"}]
    (tmp_path / "items.json").write_text(json.dumps(items))
    with OpenAIFake("A") as system:
        tree = {
            "name": "x",
            "data": {"loader": "choices", "path": "items.json"},
            "models": {"a": {"backend": "openai", "model": "a", "base_url": system.base_url}},
            "metrics": {"m": {"type": "multiple_choice", "reading": "logprobs"}},
        }
        (tmp_path / "judgekit.yaml").write_text(json.dumps(tree))
        places = ["-o", str(tmp_path / "runs"), "--home", str(tmp_path / "home")]
        assert execute(["run", str(tmp_path / "judgekit.yaml"), *places]) == 4
        assert "gives no log-probabilities" in "".join(capsys.readouterr())
        assert len(system.bodies) == 1
