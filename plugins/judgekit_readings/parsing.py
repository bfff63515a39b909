"""A judge's text → what it says, in one of the five written forms. Pure, and strict.

A reply is a score only in one of these forms, on the scale [low, high] that the prompt named:

* `integer`: the whole reply is the number (`85`), or its last line of the form `Score: 85` is. The line may carry
  the call's nonce (`Score 3fa9c1d2: 85`); where one does, lines without it are not read. `85/100` and `85 out of
  100` are read where the scale is 0 to 100, and `85점` is; `8/10` on that scale is not, and nothing is rescaled.
* `reason_json`: exactly one JSON object, alone or in one ```json fence, with exactly the keys asked for and the
  call's nonce echoed. Text around the object is not read.
* `criteria`: as `reason_json`, with one integer for each criterion; the value is their (weighted) mean.
* `letter` and `pairwise_json`: the same two forms for a preference, `A`, `B` or `tie`, as in `Winner: A`.

Digits are ASCII; signs, exponents, fractions, NaN, ranges and two numbers are not a grade. A claim that the
response under judgement makes too is not read without the nonce: it may be an echo.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from judgekit import Reply, Verdict, shortened
from judgekit.judging import FRAME, CutPrompt, Reading, Said, ScaleEnds, Unreadable, is_echo, read_reply, stands_in

PREFERENCE: Mapping[str, float] = {"A": 1.0, "B": 0.0, "tie": 0.5}


class BuiltIn(Reading):
    """What the built-in readings share."""

    def identity(self) -> dict[str, JsonValue]:
        """Nothing besides its options: judgekit's own readings change with its version."""
        own: dict[str, JsonValue] = self.options.model_dump(mode="json")
        return own


@dataclass(frozen=True)
class Asked:
    """What the prompt asked for: the scale, the call's nonce, the texts under judgement as they were shown, the weight
    of each criterion, where it asked for several, and the task that the responses are to."""

    nonce: str
    scale: ScaleEnds = (0.0, 100.0)
    responses: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    task: tuple[str, ...] = ()


def _read_reason_json(text: str, asked: Asked) -> Said:
    fields = _object(text, ["score"], asked)
    return _signed(fields, asked, Said(_json_integer("score", fields["score"], asked.scale), fields["rationale"]))


def _read_criteria(text: str, asked: Asked) -> Said:
    fields = _object(text, asked.weights, asked)
    series = {name: _json_integer(name, fields[name], asked.scale) for name in asked.weights}
    return _signed(fields, asked, Said(weighted_mean(series, asked.weights), fields["rationale"], series))


def _read_pairwise_json(text: str, asked: Asked) -> Said:
    fields = _object(text, ["winner"], asked)
    winner = fields["winner"]
    if not isinstance(winner, str) or winner not in PREFERENCE:
        raise Unreadable(f"the winner is none of A, B, tie: {_short(winner)}")
    return _signed(fields, asked, Said(PREFERENCE[winner], fields["rationale"]))


FORMS: Mapping[str, Callable[[str, Asked], Said]] = {
    "integer": lambda text, asked: Said(_integer(_answer(text, "score", asked), asked.scale)),
    "reason_json": _read_reason_json,
    "criteria": _read_criteria,
    "letter": lambda text, asked: Said(_preference(_answer(text, "winner", asked))),
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


_LABELS = {"score": ("score", "점수"), "winner": ("winner", "승자")}
_LABELLED = re.compile(
    r"(?:(?:final|overall|최종)[ \t]+)?(?P<label>score|점수|winner|승자)(?:[ \t]+(?P<tag>[0-9A-Za-z]+))?"
    r"[ \t*_]*[:=](?P<rest>.*)",
    re.IGNORECASE,
)
_INTEGER = re.compile(r"(?P<number>-?(?:0|[1-9][0-9]{0,8}))(?:[ \t]*(?:/|out of)[ \t]*(?P<top>[0-9]{1,9})|[ \t]*점)?")
_FENCE = re.compile(r"```(?:json)?[ \t\r]*$")


def _answer(text: str, label: str, asked: Asked) -> str:
    """What the reply gives as its answer: the rest of its last labelled line, or all of a one-line reply."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise Unreadable("the reply is empty")
    plain = claim = None
    for line in reversed(lines):
        match = _LABELLED.fullmatch(line.strip(FRAME))
        if match and match["label"].lower() in _LABELS[label]:
            if match["tag"] == asked.nonce:
                return match["rest"].strip(FRAME)  # no response can hold the nonce: this line is the judge's own
            if match["tag"] is None and plain is None:
                plain, claim = match["rest"], f"{match['label']}: {match['rest']}"
    if plain is None and len(lines) == 1:
        plain = lines[0]
    if plain is None:
        raise Unreadable(f"neither a bare answer nor a line '{label.capitalize()}: …'")
    answer = plain.strip(FRAME)
    if answer and (stands_in(claim, (*asked.responses, *asked.task)) if claim else is_echo(plain, asked.responses)):
        raise Unreadable("the answer also stands in the response under judgement, and may be its echo")
    return answer


def _integer(answer: str, scale: ScaleEnds) -> float:
    match = _INTEGER.fullmatch(answer.removesuffix(".").strip(FRAME))
    if match is None or match["number"] == "-0":
        raise Unreadable(f"not an integer: {_short(answer)}")
    if match["top"] is not None and (scale[0] != 0 or int(match["top"]) != scale[1]):
        raise Unreadable(f"not on the scale {scale[0]:g} to {scale[1]:g}: {_short(answer)}")
    return _in_range(int(match["number"]), scale)


def _in_range(score: int, scale: ScaleEnds) -> float:
    if not scale[0] <= score <= scale[1]:
        raise Unreadable(f"out of range {scale[0]:g} to {scale[1]:g}: {_short(score)}")
    return float(score)


def _preference(answer: str) -> float:
    choice = answer.removesuffix(".").strip(FRAME).removeprefix("Response ")
    choice = choice if choice in ("A", "B") else choice.lower()
    if choice not in PREFERENCE:
        raise Unreadable(f"none of A, B, tie: {_short(answer)}")
    return PREFERENCE[choice]


def _object(text: str, verdicts: Iterable[str], asked: Asked) -> dict[str, Any]:
    """The one JSON object of the reply, with exactly the verdicts asked for, a nonce and a rationale in words."""
    source = _one_object(text)
    fields = _load(source)
    wanted = ["rationale", *verdicts, "nonce"]
    if sorted(fields) != sorted(wanted):
        raise Unreadable(f"the keys are not {', '.join(wanted)}: {_short(', '.join(fields))}")
    for key in ("nonce", "rationale"):
        if not isinstance(fields[key], str):
            raise Unreadable(f"the {key} is not a text")
    if fields["nonce"] != asked.nonce and stands_in(source, asked.responses):
        raise Unreadable("the object also stands in the response under judgement, and may be its echo")
    return fields


def _signed(fields: Mapping[str, Any], asked: Asked, verdict: Said) -> Said:
    """The verdict, if the object bears the call's nonce."""
    if fields["nonce"] != asked.nonce:
        raise CutPrompt
    return verdict


def _json_integer(name: str, score: Any, scale: ScaleEnds) -> float:
    if type(score) is float and score.is_integer():
        score = int(score)  # JSON Schema calls 85.0 an integer
    if type(score) is not int:
        raise Unreadable(f"the {name} is not an integer: {_short(score)}")
    return _in_range(score, scale)


def _one_object(text: str) -> str:
    fenced = _fenced(text)
    if len(fenced) > 1:
        raise Unreadable("more than one fenced block")
    (source,) = fenced or [text]
    start, end = source.find("{"), source.rfind("}")
    if start < 0 or end < start:
        raise Unreadable("no JSON object" if text.strip() else "the reply is empty")
    return source[start : end + 1]  # two objects, or braces in the prose, do not load as one object


def _fenced(text: str) -> list[str]:
    """What stands in the closed fences of a text, with or without `json` behind the opening one."""
    blocks: list[str] = []
    block: list[str] | None = None
    for line in text.split("\n"):
        if block is None:
            block = [] if _FENCE.search(line) else None
        elif line.lstrip(" \t").startswith("```"):
            blocks.append("\n".join(block))
            block = None
        else:
            block.append(line)
    return blocks


def _load(source: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) < len(pairs):
            raise Unreadable("a key twice in the JSON object")
        return fields

    def constant(name: str) -> None:
        raise Unreadable(f"{name} is not JSON")

    try:
        fields: dict[str, Any] = json.loads(source, object_pairs_hook=unique, parse_constant=constant)
    except Unreadable:
        raise
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not one JSON object: {_short(str(error))}") from None
    return fields  # from { to }: what loads is an object


def _short(value: object) -> str:
    try:
        text = value if isinstance(value, str) else repr(value)
    except ValueError:  # an integer too long to print
        text = "a very long number"
    return shortened(text, 60)
