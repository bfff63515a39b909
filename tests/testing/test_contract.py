"""The contract tests: what judgekit ships passes them, and each of ten faulty plugins fails the one that is meant."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import judgekit_gpt2
import judgekit_instructions
import judgekit_metrics
import judgekit_synthesis
from judgekit.plugins import Catalogue, build_manager
from judgekit.testing import (
    BackendContract,
    ChatServer,
    CommandsContract,
    Contract,
    CopyTrainer,
    DataLoaderContract,
    ExecutorContract,
    MetricContract,
    ReadingContract,
    ReporterContract,
    SectionContract,
    TrainerContract,
    check,
    save_model,
)

CONTRACTS: Mapping[str, type[Contract]] = {
    "backends": BackendContract,
    "datasets": DataLoaderContract,
    "executors": ExecutorContract,
    "metrics": MetricContract,
    "readings": ReadingContract,
    "reporters": ReporterContract,
    "trainers": TrainerContract,
}
ITEM = {"instruction": "Say it.", "output": "it", "answer": "said"}
CHOICE = {"question": "Which?", "choices": ["this", "that"], "answer": "A"}
TALK = {"conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hello yourself"}]}
DOG = {"ind": 1, "activity_label": "Dogs", "ctx_a": "A dog", "ctx_b": "", "endings": ["a", "b", "c", "d"], "label": 1}
ARC = {
    "id": "one",
    "question": {"stem": "Which?", "choices": [{"text": "this", "label": "A"}, {"text": "that", "label": "B"}]},
    "answerKey": "B",
}
VERDICTS = [{"id": f"item-{number}", "verdict": "new", "points": 3} for number in range(8)]


def one_file(tree: object, **options: Any) -> dict[str, Any]:
    return {"options": {"path": "x.json", **options}, "files": {"x.json": json.dumps(tree)}}


MADE_OF: Mapping[str, dict[str, Any]] = {
    "instructions": one_file([ITEM]),
    "choices": one_file([CHOICE]),
    "conversations": one_file([TALK]),
    "hellaswag": one_file(DOG),
    "arc": one_file(ARC),
    "ids": one_file([{"id": "one"}]),
    "mmlu": {"options": {"path": ".", "shots": 0}, "files": {"test/law_test.csv": "Which?,a,b,c,d,B\n"}},
    "responses": one_file([ITEM], field="answer") | {"prompts": (), "unnamed": frozenset({"path"})},
    "unseen": {"prompts": ()},
    "integer": {"replies": {"70": 70, "Score: 85": 85, "I would rather not.": None, "70 or 80": None}},
    "letter": {"replies": {"A": 1, "B": 0, "tie": 0.5, "Neither of them": None}},
    "reason_json": {"replies": {'{"nonce": "{nonce}", "rationale": "Fine.", "score": 70}': 70, '{"score": 70}': None}},
    "criteria": {"grading": {"criteria": {"tone": "Is it polite?", "facts": "Is it right?"}}},
    "stored_score": one_file(
        VERDICTS,
        scale=[0, 10],
        score={"new": "points", "old": "points"},
        id="id",
        judge={"name": "someone", "version": "1", "prompt": "none"},
    ),
}
LOADED = {"gpt2", "local", "ollama", "openai", "transformers"}  # backends that need a server or a model: below
TRAINED = {"gpt2-finetune", "gpt2-dpo", "transformers-sft"}  # of checkpoints, and tried where they are
OFFERS = [
    (kind, name)
    for kind in CONTRACTS
    for name in Catalogue(build_manager()).names(kind)
    if name not in LOADED | TRAINED | {"stored_pairwise"}
]


def failures(contract: type[Contract], **attributes: Any) -> list[str]:
    rules = list(check(type("TestIt", (contract,), attributes)))
    assert any(rule.result == "passed" for rule in rules)
    return [f"{rule.name}: {rule.said}" for rule in rules if rule.result == "failed"]


@pytest.mark.parametrize(("kind", "name"), OFFERS, ids=[f"{kind}-{name}" for kind, name in OFFERS])
def test_what_judgekit_ships_passes(kind: str, name: str) -> None:
    made = Catalogue(build_manager()).get(kind, name)
    attributes = MADE_OF.get(name, {})
    if name == "gpt2-pretrain":
        attributes = PRETRAINING
    assert not failures(CONTRACTS[kind], make=made, **attributes)


PRETRAINING = {
    "options": {
        "data": "text.txt",
        "model": {"layers": 1, "heads": 2, "width": 16, "context": 32},
        "tokenizer": {"bpe": 270},
        "steps": 2,
        "batch": 2,
    },
    "files": {"text.txt": "The grass is green. The sky is blue. " * 40},
}


def test_backends_of_servers_and_models_pass(tmp_path: Path) -> None:
    offers = Catalogue(build_manager())
    carrying = {"key_env", "organization_env", "project_env", "deadline", "retries", "mode", "batch", "batch_size"}
    unnamed = frozenset({*carrying, "poll", "unlisted"})
    with ChatServer() as server:
        openai = offers.get("backends", "openai")
        options = {"model": "loopback", "base_url": server.url}
        dead = {"base_url": "http://127.0.0.1:9", "retries": 0}
        assert not failures(BackendContract, make=openai, options=options, unnamed=unnamed, failing=dead)
    model = save_model(tmp_path / "model")
    transformers = offers.get("backends", "transformers")
    assert not failures(BackendContract, make=transformers, options={"model": str(model)}, unnamed=frozenset({"batch"}))


def test_commands_and_sections_pass() -> None:
    for plugin in (judgekit_gpt2, judgekit_instructions, judgekit_synthesis):
        assert not failures(CommandsContract, make=plugin.judgekit_commands, module=plugin.__name__)
    assert not failures(SectionContract, make=judgekit_metrics.judgekit_report_sections, module="judgekit_metrics")


def test_a_trainer_passes() -> None:
    assert not failures(TrainerContract, make=CopyTrainer, options={"data": "x"}, files={"x": "text"})


def test_what_is_missing_is_said_and_not_failed() -> None:
    rules = list(
        check(type("Bare", (DataLoaderContract,), {"make": Catalogue(build_manager()).get("datasets", "arc")}))
    )
    assert {rule.said for rule in rules if rule.result == "not checked"} == {"give `options`: path"}
    assert not [rule for rule in rules if rule.result == "failed"]
    (nothing, *_) = check(BackendContract)
    assert "needs `make = …`" in nothing.said


# --- ten faulty plugins -----------------------------------------------------------------------------------------------

HEAD = "import contextlib, random, threading, time\nimport judgekit\nfrom pathlib import Path\n"
BACKEND = """
class Options(judgekit.Options):
    model: str = "small"

class Made(judgekit.Backend):
    Options = Options
    max_batch = 4
    def generate(self, requests):
        return [judgekit.Reply(text=request.prompt[::-1]) for request in requests]
"""
METRIC = """
class Made(judgekit.Metric):
    series = {"value": judgekit.Scale(label="characters", low=0, high=1000)}
    def rows(self, study):
        for system in study.systems:
            for sample, response in study.responses(system):
                value = float(len(response.text)) if response.status == "complete" else None
                status = "scored" if value is not None else response.status
                yield judgekit.Row(metric="", system=system, sample_id=sample.id, status=status, value=value)
"""
LOADER = """
class Options(judgekit.Options):
    path: str = "items.txt"

class Made(judgekit.DataLoader):
    Options = Options
    def inputs(self):
        return [self.path(self.options.path)]
    def load(self):
        try:
            text = self.inputs()[0].read_text()
        except OSError as error:
            raise judgekit.DataError("cannot be read", path=self.inputs()[0]) from error
        for number, line in enumerate(text.splitlines()):
            yield judgekit.Sample(id=str(number), instruction=line)
"""
TRAINER = """
class Options(judgekit.Options):
    path: str = "items.txt"

class Made(judgekit.Trainer):
    Options = Options
    def inputs(self):
        return [self.path(self.options.path)]
    def train(self, into, progress):
        try:
            text = self.inputs()[0].read_text()
        except OSError as error:
            raise judgekit.DataError("cannot be read", path=self.inputs()[0]) from error
        progress(1, 1, "")
        (into / "model").write_text(text)
"""
ITEMS = {"items.txt": "What is this?\nAnd this?\n"}
SOUND: Mapping[str, tuple[type[Contract], str, dict[str, Any]]] = {
    "backend": (BackendContract, BACKEND, {}),
    "metric": (MetricContract, METRIC, {}),
    "loader": (DataLoaderContract, LOADER, {"files": ITEMS}),
    "trainer": (TrainerContract, TRAINER, {"files": ITEMS}),
}
PLANTED = [
    ("backend", "for request in requests]", "for request in requests[::-1]]", "one reply a request in order"),
    ("backend", "for request in requests]", "for request in requests][:1]", "one reply a request in order"),
    ("backend", "text=request.prompt[::-1]", "text=str(random.random())", "one reply a request in order"),
    ("backend", "judgekit.Options", "judgekit.contracts.BaseModel", "unknown options are refused"),
    (
        "backend",
        "    def generate",
        "    def identity(self):\n        return {}\n    def generate",
        "identity changes with each option",
    ),
    (
        "backend",
        "    def generate",
        "    def identity(self):\n        return {'m': self.options.model, 'at': random.random()}\n    def generate",
        "identity changes with each option",
    ),
    ("backend", "        return [", "        print('asking')\n        return [", "one reply a request in order"),
    ("backend", "class Options", "import transformers\nclass Options", "it loads fast and says nothing"),
    ("metric", 'if response.status == "complete" else None', "", "missing answers have no value"),
    ("metric", "float(len(response.text))", "random.random()", "the same run gives the same bytes"),
    ("metric", "study.responses(system):", "list(study.responses(system))[1:]:", "a row for every sample"),
    ("loader", "id=str(number)", "id='one'", "samples have ids of their own"),
    (
        "loader",
        "        return [self.path(self.options.path)]",
        "        return [Path('items.txt')]",
        "inputs are the files that are read",
    ),
    ("loader", "except OSError", "except KeyError", "what cannot be read is an error that says where"),
    ("trainer", "write_text(text)", "write_text(text + str(time.time()))", "the same inputs give the same weights"),
    (
        "trainer",
        'progress(1, 1, "")',
        'with contextlib.suppress(Exception):\n            progress(1, 1, "")',
        "it can be interrupted",
    ),
]


def module(folder: Path, name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    (folder / f"{name}.py").write_text(HEAD + textwrap.dedent(code), "utf-8")
    monkeypatch.syspath_prepend(str(folder))
    return __import__(name)


@pytest.mark.parametrize("kind", SOUND)
def test_a_sound_plugin_passes(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contract, code, attributes = SOUND[kind]
    assert not failures(contract, make=module(tmp_path, f"sound_{kind}", code, monkeypatch).Made, **attributes)


@pytest.mark.parametrize("planted", range(len(PLANTED)))
def test_a_faulty_plugin_fails_the_test_that_is_meant(
    planted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, sound, faulty, rule = PLANTED[planted]
    contract, code, attributes = SOUND[kind]
    assert sound in code
    made = module(tmp_path, f"planted_{planted}", code.replace(sound, faulty), monkeypatch).Made
    failed = failures(contract, make=made, **attributes)
    assert [one for one in failed if one.startswith(rule)], failed
