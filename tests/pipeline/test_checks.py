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


GROUNDED = (
    "{#- reading: integer\n    scale: 1..10\n    tokens: 8 -#}\nContext: {{ metadata.context }}\nAnswer: {{ response }}"
)
IF_THERE = GROUNDED.replace("Context:", "{% if metadata.context is defined %}Context:").replace(
    "\nAnswer", "{% endif %}"
)


@pytest.fixture
def grounded(tmp_path, monkeypatch):
    """What a run's preflight says of a judge's prompt that shows the samples' context, and what the judge was asked."""
    monkeypatch.chdir(tmp_path)

    def check(template, *contexts):
        items = [
            {"id": str(number), "instruction": f"{number}?", "output": "x", "r": "y"}
            | ({} if context is None else {"context": context})
            for number, context in enumerate(contexts)
        ]
        (tmp_path / "items.json").write_text(json.dumps(items))
        (tmp_path / "my.j2").write_text(template)
        with OpenAIFake("7") as judge:
            tree = {
                "name": "x",
                "data": {"path": "items.json"},
                "models": {"a": {"backend": "responses", "path": "items.json", "field": "r"}},
                "judges": {"main": {"backend": "openai", "model": "j", "base_url": judge.base_url, "prompt": "my.j2"}},
                "metrics": SCORE,
                "reports": ["json"],
            }
            tree["judges"]["main"]["control_items"] = 0
            (tmp_path / "judgekit.yaml").write_text(json.dumps(tree))
            return execute(["run", "judgekit.yaml"]), [body["messages"][-1]["content"] for body in judge.bodies]

    return check


@pytest.mark.parametrize("template", [GROUNDED, IF_THERE])
def test_a_field_reaches_the_judge_however_long_it_is(grounded, template):
    code, asked = grounded(template, "short", "long " * 500)
    assert code == 0
    assert any("long long" in prompt for prompt in asked)


def test_a_field_that_some_samples_have_not_is_an_error_before_any_call(grounded, capsys):
    code, asked = grounded(GROUNDED, "there", "there", None)
    assert (code, asked) == (2, [])
    err = capsys.readouterr().err
    assert "judges.main: " in err
    assert "my.j2:4" in err
    assert "tried on the sample '2', whose metadata are: 'r'" in err
    assert grounded(IF_THERE, "there", None)[0] == 0, "the prompt can do without"


def test_a_field_that_is_answer_and_reference_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("prompt,response\nOne?,1\nTwo?,2\nThree?,3\n")
    tree = {
        "name": "x",
        "data": {"path": "x.csv"},
        "models": {"a": {"backend": "responses", "path": "x.csv", "field": "response"}},
        "metrics": {"same": {"type": "exact_match"}},
        "reports": ["json"],
    }
    (tmp_path / "judgekit.yaml").write_text(json.dumps(tree))
    assert execute(["run", "judgekit.yaml"]) == 0
    said = capsys.readouterr()
    assert "its answers to the first 3 samples are their references, word for word" in " ".join(said.out.split())
    tree["data"]["mapping"] = {"output": {"value": None}}
    (tmp_path / "judgekit.yaml").write_text(json.dumps(tree))
    assert execute(["run", "judgekit.yaml"]) == 2
    assert "needs references, and no sample has one" in capsys.readouterr().err
