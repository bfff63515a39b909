"""Contract tests for metrics and for readings, by whole runs on stored answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from judgekit.contracts import Metric
from judgekit.hookspecs import hookimpl
from judgekit.judging.judge import LLMJudge
from judgekit.judging.questions import Grading, Question, Setting
from judgekit.judging.readings import Reading, Readings
from judgekit.plugins import Catalogue, build_manager
from judgekit.prompting.templates import Prompts
from judgekit.records import Reply, Sample, Sampling, Verdict
from judgekit.results import RunView
from judgekit.testing.contract import Configured, left_out, must, silent
from judgekit.testing.scripted_caller import ScriptedCaller
from judgekit.testing.stored_runs import ITEMS, run_config, stored_run


class MetricContract(Configured):
    """Tests that every metric passes.

        class TestMine(judgekit.testing.MetricContract):
            make = MyMetric

    `items` are what it is tried on: they have ids, references, choices, and the answers of the systems "new" and "old".
    """

    items: ClassVar[Sequence[Mapping[str, Any]]] = ITEMS

    def test_a_row_for_every_sample(self, tmp_path: Path) -> None:
        view = self._run(tmp_path, self.items)
        must(view.record.status == "complete", f"the run is {view.record.status}: {view.record.warnings[:2]}")
        rows = [row for row in view.rows if row.metric == "mine"]
        seen = {(row.system, row.sample_id) for row in rows}
        wanted = {(system, str(item["id"])) for system in {row.system for row in rows} for item in self.items}
        must(bool(rows), "rows() gives no row")
        must(
            seen == wanted,
            f"rows() leaves out {sorted(wanted - seen)[:3]}: what has no value has a status that says why",
        )
        values = [row.value for row in rows if row.value is not None]
        must(bool(values), f"no row has a value; they are {sorted({row.status for row in rows})}")

    def test_the_same_run_gives_the_same_bytes(self, tmp_path: Path) -> None:
        views = [self._run(tmp_path / name, self.items) for name in ("first", "second")]
        rows, estimates = zip(*[_said(view) for view in views], strict=True)
        must(
            rows[0] == rows[1],
            "a second run on the same answers has other rows: seed what draws, and sort what is a set",
        )
        must(estimates[0] == estimates[1], "a second run on the same rows has other estimates: use the terms' seed")

    def test_equal_answers_make_no_difference(self, tmp_path: Path) -> None:
        """All values are equal: no division by their spread."""
        view = self._run(tmp_path, [{**item, "old": item["new"]} for item in self.items])
        for one in view.record.estimates:
            fine = one.value is None or one.value == one.value
            must(fine, f"{one.metric} ({one.series}) is NaN where all answers are equal")

    def test_missing_answers_have_no_value(self, tmp_path: Path) -> None:
        """What failed is counted, and is no zero."""
        if "responses" not in _needs(self):
            left_out("it asks the systems itself")
        gone = [item if place % 2 else {**item, "old": None} for place, item in enumerate(self.items)]
        view = self._run(tmp_path, gone)
        without = {str(item["id"]) for item in gone if item["old"] is None}
        wrong = [row for row in view.rows if row.system == "old" and row.sample_id in without and row.value is not None]
        must(not wrong, "a response that is not there gets a value: a Row with the response's status has none")

    def _run(self, where: Path, items: Sequence[Mapping[str, Any]]) -> RunView:
        metric: type[Metric] = type(self).make
        own = metric.Options.model_fields
        metric.Options.model_validate({key: value for key, value in self.options.items() if key in own})
        needs = _needs(self)

        class Plugin:
            @hookimpl
            def judgekit_metrics(self) -> Mapping[str, type[Metric]]:
                return {"mine": metric}

        part = {"type": "mine", **({"judge": "main"} if needs & {"score", "pairwise"} else {}), **self.options}
        for name, text in self.files.items():
            where.mkdir(parents=True, exist_ok=True)
            (where / name).write_text(text, "utf-8")
        with silent("the metric"):
            return stored_run(where, run_config({"mine": part}, needs), [Plugin()], items)


def _needs(contract: MetricContract) -> frozenset[str]:
    needs: frozenset[str] = type(contract).make.needs
    return needs


def _said(view: RunView) -> tuple[list[str], list[str]]:
    rows = [row.model_dump_json() for row in view.rows]
    return rows, [estimate.model_dump_json() for estimate in view.record.estimates]


class ReadingContract(Configured):
    """Tests that every reading passes.

        class TestMine(judgekit.testing.ReadingContract):
            make = MyReading
            prompts = {"mine": Path("prompts")}
            replies = {"Score: 7": 7, "I would rather not.": None}

    `prompt` names a prompt of its own (by default that of `mode: NAME`), and `prompts` are the folders of its plugin;
    `replies` are what a judge says of one response, or of two, and the value that is read, or None; "{nonce}" is the
    call's own mark. `grading`: what a judge's config says of the grading (`criteria`, `scale`).
    """

    prompt: ClassVar[str] = ""
    prompts: ClassVar[Mapping[str, Path]] = {}
    grading: ClassVar[Mapping[str, Any]] = {}
    replies: ClassVar[Mapping[str, float | None]] = {}

    def test_replies_are_read(self) -> None:
        if not self.replies:
            left_out("give `replies`: what a judge says, and the value that is read")
        for text, value in self.replies.items():
            verdict = self._verdict(Reply(text=text))
            said = f"{text!r} is read as {verdict.value} ({verdict.status}), not as {value}"
            must(verdict.value == value, said)
            must((verdict.status == "scored") == (value is not None), said)

    def test_what_was_not_said_is_not_read(self) -> None:
        """A refusal, a reply that was cut, and nothing have no value, whatever number stands in them."""
        if self._reading().kind != "generate":
            left_out("it reads log-likelihoods")
        for reply in (
            Reply(text="I cannot give it 100.", status="refused"),
            Reply(text="The first 10 of 100 points are for", status="truncated"),
            Reply(text=""),
        ):
            verdict = self._verdict(reply)
            said = f"a reply ({reply.status}, {reply.text!r}) is read as {verdict.value}"
            must(verdict.value is None, f"{said}: judgekit.judging.read_reply passes on what was not said")

    def test_requests_show_the_response(self) -> None:
        reading = self._reading()
        questions = [_question(reading, text) for text in ("the first response", "the second response")]
        asked = [tuple(reading.requests(question)) for question in questions]
        must(all(asked), "a sample with a reference has no request")
        must(asked[0] == tuple(reading.requests(questions[0])), "the same question is asked in other words each time")
        must(asked[0] != asked[1], "two responses have the same request: show {{ response }} in the prompt")

    def test_its_identity_is_json(self) -> None:
        must(bool(json.dumps(self._reading().identity())), "identity() is empty")

    def _reading(self) -> Reading:
        made: type[Reading] = type(self).make
        must(made is not None, f"{type(self).__name__} needs `make = …`, the class that is tested")
        prompt = self.prompt or made.default_prompt
        if not prompt:
            left_out("give `prompt`, the name of one that asks for this reading")
        template = Prompts(self.prompts).get(prompt)
        options = made.Options.model_validate(dict(self.options))
        setting = Setting(
            "main",
            template,
            Sampling(temperature=0.0),
            schema=True,
            logprobs=True,
            grading=Grading(**self.grading),
            options=options,
        )

        class Plugin:
            @hookimpl
            def judgekit_readings(self) -> Mapping[str, type[Reading]]:
                return {template.front.reading: made}

        return Readings(Catalogue(build_manager(only=(), extra=[Plugin()]))).on(made.task, setting)

    def _verdict(self, reply: Reply) -> Verdict:
        reading = self._reading()
        question = _question(reading, "a response")
        text = reply.text.replace("{nonce}", reading.nonce(question))
        caller = ScriptedCaller(lambda request, repeat, attempt: reply.model_copy(update={"text": text}))
        judge = LLMJudge("main", caller, {reading.task: reading})
        with silent("verdict"):
            if reading.task == "score":
                return next(iter(judge.score([(question.sample, "a response", 0)])))
            return next(iter(judge.compare([(question.sample, "a response", "another", 0)])))[0]


def _question(reading: Reading, text: str) -> Question:
    sample = Sample(id="one", instruction="Name the capital of Portugal.", reference="Lisbon.")
    return Question.of(sample, [text] if reading.task == "score" else [text, "another"])
