"""A judge's text → Verdict. Pure, and strict: what was asked for is read, and nothing is ever guessed.

A reply is a score only in one of these forms, on the scale [low, high] that the prompt named:

* `integer`: the whole reply is the number (`85`), or its last line of the form `Score: 85` is. The line may carry
  the call's nonce (`Score 3fa9c1d2: 85`); where one does, lines without it are not read. `85/100` and `85 out of
  100` are read where the scale is 0 to 100, and `85점` is; `8/10` on that scale is not, and nothing is rescaled.
* `reason_json`: exactly one JSON object, alone or in one ```json fence, with exactly the keys asked for and the
  call's nonce echoed. Text around the object is not read.
* `criteria`: as `reason_json`, with one integer for each criterion; the value is their (weighted) mean.
* `letter` and `pairwise_json`: the same two forms for a preference, `A`, `B` or `tie`, as in `Winner: A`.

Digits are ASCII; signs, exponents, fractions, NaN, ranges and two numbers are not a grade. A claim that the
response under judgement makes too, in whatever case, marks or width of letters, is not read without the nonce: it may
be an echo. The answer is what comes after the last thoughts (`<think>…</think>`).
A reply that is none of this is `unparsed`; `refused`, `truncated` and `error` are passed through. JSON that is as it
was asked for, but for the nonce, is `truncated`: a judge that cannot say it may have been shown half of its prompt.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from judgekit.records import Continuation, Reply, Verdict
from judgekit.secret import shortened

Scale = tuple[float, float]
PREFERENCE: Mapping[str, float] = {"A": 1.0, "B": 0.0, "tie": 0.5}


class Unreadable(ValueError):
    """The reply holds no verdict in a form that was asked for; the message says why."""


CUT_PROMPT = "the call's nonce is not echoed: the prompt may have been cut before the judge read it"


class CutPrompt(Unreadable):
    """The reply has the form asked for, but not the call's nonce."""


@dataclass(frozen=True)
class Asked:
    """What the prompt asked for: the scale, the call's nonce, the texts under judgement as they were shown, the weight
    of each criterion, where it asked for several, and the task that the responses are to."""

    nonce: str
    scale: Scale = (0.0, 100.0)
    responses: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    task: tuple[str, ...] = ()


class Found(NamedTuple):
    """What a reply says: the value, the reason given, and further values by name."""

    value: float
    rationale: str = ""
    series: Mapping[str, float] = {}


def read(form: str, reply: Reply, asked: Asked) -> Verdict:
    """The verdict of one reply in one of the FORMS. Its raw text is kept whatever the status."""
    if failed := passed_on(reply):
        return failed
    try:
        found = FORMS[form](without_thoughts(reply.text), asked)
    except CutPrompt as reason:
        return Verdict(status="truncated", raw=reply.text, detail=str(reason))
    except Unreadable as reason:
        return Verdict(status="unparsed", raw=reply.text, detail=str(reason))
    series = dict(found.series)
    return Verdict(status="scored", value=found.value, raw=reply.text, rationale=found.rationale, series=series)


def passed_on(reply: Reply) -> Verdict | None:
    """The verdict on a reply that is not complete: refused, truncated, error."""
    if reply.status == "complete":
        return None
    return Verdict(status=reply.status, raw=reply.text, detail=reply.detail or reply.status)


def _read_integer(text: str, asked: Asked) -> Found:
    return Found(_integer(_answer(text, "score", asked), asked.scale))


def _read_letter(text: str, asked: Asked) -> Found:
    return Found(_preference(_answer(text, "winner", asked)))


def _read_reason_json(text: str, asked: Asked) -> Found:
    found = _object(text, SCORE_SCHEMA, asked)
    return _signed(found, asked, Found(_json_integer("score", found["score"], asked.scale), found["rationale"]))


def _read_criteria(text: str, asked: Asked) -> Found:
    found = _object(text, criteria_schema(asked.weights), asked)
    series = {name: _json_integer(name, found[name], asked.scale) for name in asked.weights}
    return _signed(found, asked, Found(weighted_mean(series, asked.weights), found["rationale"], series))


def _read_pairwise_json(text: str, asked: Asked) -> Found:
    found = _object(text, WINNER_SCHEMA, asked)
    winner = found["winner"]
    if not isinstance(winner, str) or winner not in PREFERENCE:
        raise Unreadable(f"the winner is none of A, B, tie: {_short(winner)}")
    return _signed(found, asked, Found(PREFERENCE[winner], found["rationale"]))


FORMS: Mapping[str, Callable[[str, Asked], Found]] = {
    "integer": _read_integer,
    "reason_json": _read_reason_json,
    "criteria": _read_criteria,
    "letter": _read_letter,
    "pairwise_json": _read_pairwise_json,
}


_STEP = re.compile(r"\s*(?:[0-9]{1,2}[.):]|[-*•])\s+(?P<step>\S.*)")
MOST_STEPS = 20


def read_steps(reply: Reply) -> tuple[str, ...] | Verdict:
    """The evaluation steps that a judge wrote, one a numbered (or bulleted) line; a verdict without a value, where it
    wrote none."""
    if failed := passed_on(reply):
        detail = f"the judge wrote no evaluation steps ({failed.detail}): give steps: […] in the config"
        return failed.model_copy(update={"detail": detail})
    lines = without_thoughts(reply.text).splitlines()
    steps = [found["step"].strip(FRAME) for line in lines if (found := _STEP.fullmatch(line.strip("*_ \t")))]
    steps = [step for step in steps if step]
    if 1 < len(steps) <= MOST_STEPS:
        return tuple(steps)
    numbered = f"{len(steps)} numbered lines, where 2 to {MOST_STEPS} are asked for"
    detail = f"the judge wrote no evaluation steps ({numbered}): give steps: […] in the config"
    return Verdict(status="unparsed", raw=reply.text, detail=detail)


def weighted_mean(values: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Σ weight · value / Σ weight, kept between the least and the greatest value against float noise."""
    mean = math.fsum(weights[name] * value for name, value in values.items()) / math.fsum(weights.values())
    return min(max(mean, min(values.values())), max(values.values()))


def likelihood_ratio(
    answer: Continuation, gold: Continuation, empty: Continuation, scale: Scale = (0.0, 100.0)
) -> Verdict:
    """How much likelier the reference becomes once the answer is known, anchored by what is known of the item.

    The three are the reference's log-likelihood after the question with the answer, with the reference itself, and
    with an empty answer. With L(x) the mean log-probability (nats) of a token of the reference after x, the score is
    clip((L(answer) − L(empty)) / (L(gold) − L(empty)), 0, 1), laid on the scale. The reference's likelihood without
    any answer cancels out of it. Where L(gold) ≤ L(empty) the judge cannot read the item, and there is no score.
    """
    sums = {"answer": answer.loglikelihood, "gold": gold.loglikelihood, "empty": empty.loglikelihood}
    raw = json.dumps({**{name: round(value, 4) for name, value in sums.items()}, "tokens": gold.tokens})
    if not answer.tokens == gold.tokens == empty.tokens > 0:
        return Verdict(status="error", raw=raw, detail="the log-likelihoods are not of one and the same reference")
    span = sums["gold"] - sums["empty"]
    if not span > 0:
        return Verdict(status="unparsed", raw=raw, detail="anchors do not separate: gold is no likelier than empty")
    share = min(max((sums["answer"] - sums["empty"]) / span, 0.0), 1.0)  # means over the same tokens: sums will do
    return Verdict(status="scored", value=scale[0] + share * (scale[1] - scale[0]), raw=raw)


def pairwise_likelihood(a: Continuation, b: Continuation, gold: Continuation, empty: Continuation) -> Verdict:
    """The preference for a: 1, 0, or ½ where the likelihood ratios of both, anchored and clipped, are the same.

    Two answers that help no more than an empty one are a tie: which of them does less is noise.
    """
    verdicts = [likelihood_ratio(answer, gold, empty) for answer in (a, b)]
    raw = json.dumps({"a": json.loads(verdicts[0].raw), "b": json.loads(verdicts[1].raw)})
    for verdict in verdicts:
        if verdict.value is None:
            return verdict.model_copy(update={"raw": raw})
    first, second = (verdict.value or 0.0 for verdict in verdicts)
    return Verdict(status="scored", value=0.5 + 0.5 * ((first > second) - (first < second)), raw=raw)


def _schema(**verdicts: Mapping[str, Any]) -> dict[str, Any]:
    # The rationale comes before the verdict: what is generated first can inform what follows. The nonce is a free
    # string, so that a judge that was not shown it (a prompt cut by the server) cannot fill it in.
    properties = {"rationale": {"type": "string"}, **verdicts, "nonce": {"type": "string"}}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


SCORE_SCHEMA = _schema(score={"type": "integer"})
WINNER_SCHEMA = _schema(winner={"type": "string", "enum": list(PREFERENCE)})


def criteria_schema(criteria: Iterable[str]) -> dict[str, Any]:
    """The JSON schema of a reply with one integer for each criterion."""
    return _schema(**{name: {"type": "integer"} for name in criteria})


THOUGHTS = "think|thinking|thought|reasoning"  # the tags around them
_THOUGHT = re.compile(rf"\s*<({THOUGHTS})>.*?</\1>", re.DOTALL | re.IGNORECASE)
_EDGE = re.compile(
    rf"^[ \t]*<(?P<first>/?)(?:{THOUGHTS})>|<(?P<last>/?)(?:{THOUGHTS})>[ \t]*\r?$", re.MULTILINE | re.IGNORECASE
)


def without_thoughts(text: str) -> str:
    """The text after its last thoughts. Thoughts that never end leave nothing.

    A tag in the middle of a line is a mention of one, as in a rationale, unless it is at the text's beginning. Some
    chat formats open the thoughts in the prompt, so that the reply holds only their end.
    """
    begin = 0
    while thought := _THOUGHT.match(text, begin):
        begin = thought.end()
    edges = list(_EDGE.finditer(text, begin))
    if not edges:
        return text[begin:]
    return text[edges[-1].end() :] if "/" in (edges[-1]["first"], edges[-1]["last"]) else ""


FRAME = " \t*_`\"'#>()[]"  # Markdown, quotes and brackets around a short answer
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
    if answer and (_stands_in(claim, (*asked.responses, *asked.task)) if claim else is_echo(plain, asked.responses)):
        raise Unreadable("the answer also stands in the response under judgement, and may be its echo")
    return answer


def is_echo(line: str, responses: Iterable[str], cut: bool = False) -> bool:
    """Whether the line also is a line of one of the responses, or of what is left of an echo of them when its thoughts
    are cut off; `cut`: whether it is the beginning of one."""
    fold = len(_heard(line)) > 1  # "A" is no echo of the response "a"
    said, begun = _heard(line, fold), line.strip(FRAME) if cut else ""
    texts = {text for response in responses for text in (response, without_thoughts(response))}
    lines = [other for text in texts for other in text.splitlines()]
    return any(
        (said and _heard(other, fold) == said) or (begun and other.strip(FRAME).startswith(begun)) for other in lines
    )


def _stands_in(claim: str, responses: Iterable[str]) -> bool:
    """Whether one of the responses holds the claim, in a line or across lines: an echo may break them otherwise."""
    said = f" {_heard(claim)} "
    return any(said in f" {_heard(response)} " for response in dict.fromkeys(responses))


_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff]")
_WORD = re.compile(r"[^\W_]+|:")


def _heard(text: str, fold: bool = True) -> str:
    """The words and colons of a text, without what an echo may lose or change: case (`fold`), marks, widths of
    letters, characters that are not seen."""
    plain = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).replace("=", ":")
    return " ".join(_WORD.findall(plain.casefold() if fold else plain))


def _integer(answer: str, scale: Scale) -> float:
    match = _INTEGER.fullmatch(answer.removesuffix(".").strip(FRAME))
    if match is None or match["number"] == "-0":
        raise Unreadable(f"not an integer: {_short(answer)}")
    if match["top"] is not None and (scale[0] != 0 or int(match["top"]) != scale[1]):
        raise Unreadable(f"not on the scale {scale[0]:g} to {scale[1]:g}: {_short(answer)}")
    return _in_range(int(match["number"]), scale)


def _in_range(score: int, scale: Scale) -> float:
    if not scale[0] <= score <= scale[1]:
        raise Unreadable(f"out of range {scale[0]:g} to {scale[1]:g}: {_short(score)}")
    return float(score)


def _preference(answer: str) -> float:
    choice = answer.removesuffix(".").strip(FRAME).removeprefix("Response ")
    choice = choice if choice in ("A", "B") else choice.lower()
    if choice not in PREFERENCE:
        raise Unreadable(f"none of A, B, tie: {_short(answer)}")
    return PREFERENCE[choice]


def _object(text: str, schema: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
    """The one JSON object of the reply, with exactly the schema's keys, a nonce and a rationale in words."""
    source = _one_object(text)
    found = _load(source)
    wanted = schema["required"]
    if sorted(found) != sorted(wanted):
        raise Unreadable(f"the keys are not {', '.join(wanted)}: {_short(', '.join(found))}")
    if not isinstance(found["nonce"], str):
        raise Unreadable("the nonce is not a text")
    if not isinstance(found["rationale"], str):
        raise Unreadable("the rationale is not a text")
    if found["nonce"] != asked.nonce and _stands_in(source, asked.responses):
        raise Unreadable("the object also stands in the response under judgement, and may be its echo")
    return found


def _signed(found: Mapping[str, Any], asked: Asked, verdict: Found) -> Found:
    """The verdict, if the object bears the call's nonce."""
    if found["nonce"] != asked.nonce:
        raise CutPrompt(CUT_PROMPT)
    return verdict


def _json_integer(name: str, score: Any, scale: Scale) -> float:
    if type(score) is float and score.is_integer():
        score = int(score)  # JSON Schema calls 85.0 an integer
    if type(score) is not int:
        raise Unreadable(f"the {name} is not an integer: {_short(score)}")
    return _in_range(score, scale)


def _one_object(text: str) -> str:
    fenced = _fenced(text)
    if len(fenced) > 1:
        raise Unreadable("more than one fenced block")
    source = fenced[0] if fenced else text
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
        found = dict(pairs)
        if len(found) < len(pairs):
            raise Unreadable("a key twice in the JSON object")
        return found

    def constant(name: str) -> None:
        raise Unreadable(f"{name} is not JSON")

    try:
        found = json.loads(source, object_pairs_hook=unique, parse_constant=constant)
    except Unreadable:
        raise
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not one JSON object: {_short(str(error))}") from None
    if not isinstance(found, dict):
        raise Unreadable("not a JSON object")
    return found


def _short(value: object) -> str:
    try:
        text = value if isinstance(value, str) else repr(value)
    except ValueError:  # an integer too long to print
        text = "a very long number"
    return shortened(text, 60)
