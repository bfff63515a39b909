"""A judge's text → what it says, in one of the five written forms. Pure, and strict.

A reply is a score only in one of these forms, on the scale [low, high] that the prompt named:

* `integer`: the whole reply is the number (`85`), or its last line of the form `Score: 85` is; see answers.py. `8/10`
  and `8 out of 10` are read where the scale ends in 10, `85 %` where it is 0 to 100; nothing is rescaled.
* `reason_json`: one JSON object that bears the call's nonce and the score; see objects.py. Text around the object is
  not read.
* `criteria`: as `reason_json`, with one integer for each criterion; the value is their (weighted) mean.
* `letter` and `pairwise_json`: the same two forms for a preference, `A`, `B` or `tie`, as in `Winner: A`.

A prompt with a `pattern` has its verdict where that fits, and nowhere else. Digits are ASCII; signs, exponents,
fractions, NaN, ranges and two numbers are not a grade. A claim that the response under judgement makes too is not read
without the nonce: it may be an echo.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import JsonValue

from judgekit import Reply, Verdict
from judgekit.judging import CutPrompt, Reading, Said, Unreadable, is_echo, read_reply, stands_in
from judgekit_readings.answers import ECHO, PREFERENCE, Asked, Value, answer, in_range, number, preference
from judgekit_readings.objects import object_in, short
from judgekit_readings.patterns import found_by


class BuiltIn(Reading):
    """What the built-in readings share."""

    def identity(self) -> dict[str, JsonValue]:
        """Nothing besides its options: judgekit's own readings change with its version."""
        own: dict[str, JsonValue] = self.options.model_dump(mode="json", exclude_defaults=True)
        return own


def _read_reason_json(text: str, asked: Asked) -> Said:
    fields, source = object_in(text, ["score"])
    return _signed(fields, source, asked, _json_integer("score", fields["score"], asked))


def _read_criteria(text: str, asked: Asked) -> Said:
    fields, source = object_in(text, asked.weights)
    series = {name: _json_integer(name, fields[name], asked) for name in asked.weights}
    return _signed(fields, source, asked, weighted_mean(series, asked.weights), series)


def _read_pairwise_json(text: str, asked: Asked) -> Said:
    fields, source = object_in(text, ["winner"])
    winner = fields["winner"]
    if not isinstance(winner, str):
        raise Unreadable(f"the winner is none of A, B, tie: {short(winner)}")
    return _signed(fields, source, asked, preference(winner, asked))


def _short_answer(kind: str, value: Value) -> Callable[[str, Asked], Said]:
    """How a short answer is read: by the prompt's own pattern, or else as answers.py says."""

    def read_answer(text: str, asked: Asked) -> Said:
        if not asked.pattern:
            return Said(answer(text, kind, asked, value))
        whole, group = found_by(asked.pattern, text)
        said = value(group, asked)
        if stands_in(whole, (*asked.responses, *asked.task)) or is_echo(whole, asked.responses):
            raise Unreadable(ECHO)
        return Said(said)

    return read_answer


FORMS: Mapping[str, Callable[[str, Asked], Said]] = {
    "integer": _short_answer("score", number),
    "reason_json": _read_reason_json,
    "criteria": _read_criteria,
    "letter": _short_answer("winner", preference),
    "pairwise_json": _read_pairwise_json,
}


def read(form: str, reply: Reply, asked: Asked) -> Verdict:
    """The verdict of one reply in one of the FORMS."""
    return read_reply(reply, lambda text: FORMS[form](text, asked))


def weighted_mean(values: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Σ weight · value / Σ weight, kept between the least and the greatest value against float noise."""
    mean = math.fsum(weights[name] * value for name, value in values.items()) / math.fsum(weights.values())
    return min(max(mean, min(values.values())), max(values.values()))


def _schema(**verdicts: Mapping[str, Any]) -> dict[str, Any]:
    # The rationale comes before the verdict: what is generated first can inform what follows. The nonce is a free
    # string, so that a judge that was not shown it (a prompt cut by the server) cannot fill it in.
    properties = {"rationale": {"type": "string"}, **verdicts, "nonce": {"type": "string"}}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def schema_of(form: str, criteria: Iterable[str] = ()) -> dict[str, Any] | None:
    """The JSON schema of a reply in a form, with one integer for each criterion; None for a form that is no JSON."""
    return {
        "reason_json": _schema(score={"type": "integer"}),
        "criteria": _schema(**{name: {"type": "integer"} for name in criteria}),
        "pairwise_json": _schema(winner={"type": "string", "enum": list(PREFERENCE)}),
    }.get(form)


def _signed(
    fields: Mapping[str, Any], source: str, asked: Asked, value: float, series: Mapping[str, float] | None = None
) -> Said:
    """What the object says, if it bears the call's nonce."""
    signature = fields.get("nonce")
    if str(signature) != asked.nonce or isinstance(signature, float):
        if stands_in(source, asked.responses):
            raise Unreadable("the object also stands in the response under judgement, and may be its echo")
        raise CutPrompt
    rationale = fields.get("rationale", "")
    return Said(value, rationale if isinstance(rationale, str) else str(rationale), series or {})


def _json_integer(name: str, score: Any, asked: Asked) -> float:
    if type(score) is float and score.is_integer():
        score = int(score)  # JSON Schema calls 85.0 an integer
    if isinstance(score, str):
        try:
            return number(score, asked)
        except Unreadable as error:
            raise Unreadable(f"the {name} is {error}") from None
    if type(score) is not int:
        raise Unreadable(f"the {name} is not an integer: {short(score)}")
    return in_range(score, asked.scale)
