"""`type: multiple_choice`: which of a question's options a system picks.

By default the letters are scored as continuations " A", " B", … of MMLU's published prompt: for a vocabulary in which
they are single tokens that is the published argmax over letter log-probabilities; otherwise the sum over the letter's
tokens. `mode` scores whole options instead; systems that offer no log-likelihoods are asked for a letter, in the
strictest way that they can be held to (see choice_readings.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import ClassVar, Literal

from pydantic import Field, JsonValue

import judgekit
import judgekit.judging
import judgekit.statistics
from judgekit_metrics import choice_readings as readings
from judgekit_metrics.choice_readings import LETTERS, NEEDS, Mode, Question, Reading

CHUNK = 256
PROMPTS = {"letter": "multiple_choice/mmlu.j2", "chat": "multiple_choice/chat.j2", "whole": "multiple_choice/answer.j2"}


class MultipleChoiceOptions(judgekit.Options):
    """`mode`: what is compared. `letter`: the options' letters; `acc`: the log-likelihoods of the whole options,
    `acc_char`, `acc_byte`, `acc_token`: the same over an option's characters, bytes, tokens.

    `reading`: how a letter is read; auto: the first of loglikelihood, schema, logprobs, text that the backend offers.
    `order_probe`: each question is also asked with its options in every other cyclic order. `max_new_tokens`: of an
    answer in writing (None: 1 for logprobs, 64 for schema, 256 for text). `prompt`: None is the mode's own.
    """

    mode: Mode = "letter"
    reading: Literal["auto", "loglikelihood", "schema", "logprobs", "text"] = "auto"
    order_probe: bool = False
    prompt: str | None = None
    max_new_tokens: int | None = Field(None, ge=1)


@dataclass
class Asked:
    """A question on its way: the worked examples still shown before it, and the last reply."""

    question: Question
    shots: list[judgekit.Sample]
    reply: judgekit.Reply = field(default_factory=judgekit.Reply)


class MultipleChoice(judgekit.Metric):
    """Which option a system picks: MMLU's letters, or whole answers as for HellaSwag and ARC."""

    Options: ClassVar[type[judgekit.Options]] = MultipleChoiceOptions
    options: MultipleChoiceOptions
    needs = frozenset({"choices"})
    prompt_variables = frozenset({"subject", "question", "choices", "letters", "shots", "continuation", "form"})
    by = ("category",)  # of a question: its subject
    series: ClassVar[dict[str, judgekit.Scale]] = {
        "value": judgekit.Scale(label="accuracy", low=0, high=1, unit="%"),
        "acc": judgekit.Scale(label="acc: log-likelihood of the option", low=0, high=1, unit="%"),
        "acc_char": judgekit.Scale(label="acc_char: per character", low=0, high=1, unit="%"),
        "acc_byte": judgekit.Scale(label="acc_byte: per byte", low=0, high=1, unit="%"),
        "acc_token": judgekit.Scale(label="acc_token: per token", low=0, high=1, unit="%"),
        "orders_mean": judgekit.Scale(label="accuracy over all orders of the options", low=0, high=1, unit="%"),
        "orders_all": judgekit.Scale(label="right in all orders", low=0, high=1, unit="%"),
        "orders_consistent": judgekit.Scale(label="same option in all orders", low=0, high=1, unit="%"),
    }

    def check(self, systems: Mapping[str, frozenset[str]]) -> list[str]:
        problems = []
        mode, reading = self.options.mode, self.options.reading
        if mode != "letter" and reading not in ("auto", "loglikelihood"):
            return [f"mode {mode} compares log-likelihoods: it goes with reading loglikelihood, not {reading}"]
        for system, offered in systems.items():
            used = self._reading(offered)
            why = f"mode {mode} compares" if mode != "letter" else f"reading {used} needs"
            if NEEDS[used] not in offered:
                problems.append(f"{why} {_WORDS[used]}, which models.{system} has not")
            if "stored" in offered and self.options.order_probe:
                problems.append(f"order_probe asks anew, and models.{system} only looks up answers")
        return problems

    def prompts(self, systems: Mapping[str, frozenset[str]]) -> Sequence[str]:
        return sorted({self._prompt(self._reading(offered)) for offered in systems.values()})

    def questions(self, sample: judgekit.Sample) -> int:
        return len(sample.choices) if self.options.order_probe else 1

    def rows(self, study: judgekit.Study) -> Iterator[judgekit.Row]:
        for system in study.systems:
            reading = self._reading(study.capabilities(system))
            samples = iter(study.samples)
            while chunk := list(islice(samples, CHUNK)):
                yield from self._chunk(study, system, reading, chunk)

    def aggregate(self, tables: judgekit.statistics.Tables, terms: judgekit.AggregateTerms) -> judgekit.Aggregate:
        """The accuracies, their averages over categories, and what needs no reading to reach."""
        from judgekit_metrics.letter_bias import baselines, chance_statistic, letter_bias
        from judgekit_metrics.macro_average import by_category

        means = terms.means(tables).estimates
        if terms.group is not None:
            return judgekit.Aggregate(means)
        categories = {sample.id: sample.category or "" for sample in terms.samples}
        statistics = [chance_statistic(terms.metric, terms.samples)]
        averages: list[judgekit.statistics.Estimate] = []
        for whole in means:
            if whole.series == "value" and whole.estimand == "new items":
                table = tables["value"][whole.system, ""]
                averages += by_category(table, categories, whole, clustered=terms.clusters == categories)
                statistics.append(letter_bias(whole, table, terms.samples))
        return judgekit.Aggregate([*means, *averages, *baselines(terms)], statistics)

    def by_tokens(self, systems: Mapping[str, frozenset[str]]) -> Sequence[str]:
        return [system for system, offered in systems.items() if self._reading(offered) == "logprobs"]

    def _reading(self, offered: frozenset[str]) -> Reading:
        if self.options.reading != "auto":
            return self.options.reading
        return "loglikelihood" if self.options.mode != "letter" else readings.preferred(offered)

    def _prompt(self, reading: Reading) -> str:
        kind = "whole" if self.options.mode != "letter" else "letter" if reading == "loglikelihood" else "chat"
        return self.options.prompt or PROMPTS[kind]

    def _chunk(
        self, study: judgekit.Study, system: str, reading: Reading, chunk: Sequence[judgekit.Sample]
    ) -> Iterator[judgekit.Row]:
        """Ask with all shots; a prompt too long for the model loses its last shot and is asked again."""
        asked = [
            Asked(question, list(study.shots(sample)))
            for sample in chunk
            for question in readings.rotations(sample, self.options.order_probe)
        ]
        ask = study.loglikelihood if reading == "loglikelihood" else study.generate
        waiting = asked
        while waiting:
            requests = [self._request(study, system, reading, each) for each in waiting]
            for each, reply in zip(waiting, ask(system, requests), strict=True):
                each.reply = reply
            waiting = [each for each in waiting if each.shots and readings.did_not_fit(each.reply)]
            for each in waiting:
                each.shots.pop()
        orders = iter(asked)
        for sample in chunk:
            yield self._row(system, reading, sample, list(islice(orders, self.questions(sample))))

    def _request(self, study: judgekit.Study, system: str, reading: Reading, asked: Asked) -> judgekit.Request:
        sample, question = asked.question.sample, asked.question
        prompt = study.render(
            self._prompt(reading),
            subject=(sample.category or "general knowledge").replace("_", " "),
            question=sample.instruction,
            choices=list(question.options),
            letters=list(LETTERS),
            shots=[_shown(shot) for shot in asked.shots],
            continuation=bool(sample.metadata.get("continuation")),
            form="json" if reading == "schema" else "letter",
        )
        request = readings.request(question, prompt, self.options.mode, reading, self.options.max_new_tokens)
        stored = "stored" in study.capabilities(system)
        return request.model_copy(update={"sample_id": sample.id}) if stored else request

    def _row(self, system: str, reading: Reading, sample: judgekit.Sample, orders: Sequence[Asked]) -> judgekit.Row:
        """The row of the published order; the other orders fill the series of the probe, where all could be read."""
        picked = [self._picked(reading, each) for each in orders]
        verdicts = tuple(verdict for verdict, _ in picked)
        # A call that failed makes the run incomplete, whichever order it was for; nothing else takes the value away.
        failed = next((verdict.status for verdict in verdicts if verdict.status == "error"), None)
        status = failed or verdicts[0].status
        series: dict[str, float] = {}
        if status == "scored":
            chosen = {name: index for name, index in picked[0][1].items() if name != "letter"}
            series = {name: float(index == sample.answer) for name, index in chosen.items()}
        if status == "scored" and len(orders) > 1 and all(verdict.status == "scored" for verdict in verdicts):
            options = [by[self.options.mode] for _, by in picked]
            right = [option == sample.answer for option in options]
            series |= {
                "orders_mean": sum(right) / len(right),
                "orders_all": float(all(right)),
                "orders_consistent": float(len(set(options)) == 1),
            }
        return judgekit.Row(
            metric="",
            system=system,
            sample_id=sample.id,
            status=status,
            value=verdicts[0].value if status == "scored" else None,
            series=series,
            verdicts=verdicts,
        )

    def _picked(self, reading: Reading, asked: Asked) -> tuple[judgekit.Verdict, Mapping[str, int]]:
        """The verdict on one order, and the options picked (indices into the sample's choices)."""
        reply, question = asked.reply, asked.question
        kept: dict[str, JsonValue] = {"reading": reading, "shots": len(asked.shots)}
        if question.order[0]:
            kept["order"] = "".join(LETTERS[index] for index in question.order)
        if reply.notes:
            kept["notes"] = list(reply.notes)
        # An answer of one token is always cut after it: where it has its alternatives, that is as asked for.
        cut = reading == "logprobs" and reply.status == "truncated" and reply.tokens
        if reply.status != "complete" and not cut:
            detail = reply.detail or reply.status
            return judgekit.Verdict(status=reply.status, raw=reply.whole, detail=detail), {}
        try:
            picked = readings.read(question, reply, self.options.mode, reading)
        except readings.Unread as reason:
            return judgekit.Verdict(
                status="unparsed", raw=reply.whole, detail=judgekit.judging.why_unread(reply, reason)
            ), {}
        chosen = picked.by[self.options.mode]
        options = {mode: question.order[index] for mode, index in picked.by.items()}
        raw = json.dumps({"chosen": LETTERS[chosen], **picked.figures, **kept})
        value = float(options[self.options.mode] == question.sample.answer)
        figures = {"chosen": float(chosen), "shots": float(len(asked.shots))}  # what stays of it without its texts
        return judgekit.Verdict(status="scored", value=value, raw=raw, series=figures), options


_WORDS: Mapping[Reading, str] = {
    "loglikelihood": "log-likelihoods",
    "schema": "answers held to a JSON schema",
    "logprobs": "log-probabilities of generated tokens",
    "text": "answers in writing",
}


def _shown(shot: judgekit.Sample) -> dict[str, JsonValue]:
    """A worked example as a template sees it: `answer` is the letter, `text` the right option itself."""
    answer = shot.answer or 0
    return {
        "question": shot.instruction,
        "choices": list(shot.choices),
        "answer": LETTERS[answer],
        "text": shot.choices[answer],
    }
