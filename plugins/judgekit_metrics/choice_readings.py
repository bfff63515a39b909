"""Readings of a choice among lettered options: one request out, the options picked in.

* `loglikelihood`: the letters (or the whole options) as continuations; the likeliest is picked.
* `schema`: a JSON object {"answer": "B"}, held to the letters by a schema; nothing but the object is read.
* `logprobs`: the likeliest letter among the alternatives at the first generated token.
* `text`: a letter in writing. Read are a reply that is one line, of the letter alone or with its option's own text
  (`B`, `(B)`, `B. Paris`), or else the last line of the form `Answer: B`. A capital letter anywhere else is no answer.

Ties go to the first. What cannot be read is `unparsed`: no letter is ever guessed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pydantic import JsonValue

import judgekit
import judgekit.judging

LETTERS = "ABCDEFGHIJ"
Mode = Literal["letter", "acc", "acc_char", "acc_byte", "acc_token"]
Reading = Literal["loglikelihood", "schema", "logprobs", "text"]
# The capability that each reading needs, in the order of preference.
NEEDS: Mapping[Reading, str] = {
    "loglikelihood": "loglikelihood",
    "schema": "schema",
    "logprobs": "logprobs",
    "text": "generate",
}
MOST_TOKENS: Mapping[Reading, int] = {"schema": 64, "logprobs": 1, "text": 256}
TOP_LOGPROBS = 20  # the most that servers give


class Picked(NamedTuple):
    """The option picked, as an index, by each mode that can be told from the reply; and what is worth keeping."""

    by: Mapping[str, int]
    figures: Mapping[str, JsonValue]


class Unread(ValueError):
    """The reply holds no choice in the form that was asked for; the message says why."""


@dataclass(frozen=True)
class Question:
    """A sample with its options in the order shown: `order` holds indices into the sample's choices."""

    sample: judgekit.Sample
    order: tuple[int, ...]

    @property
    def options(self) -> list[str]:
        return [self.sample.choices[index] for index in self.order]

    @property
    def letters(self) -> str:
        return LETTERS[: len(self.order)]


def rotations(sample: judgekit.Sample, all_orders: bool) -> list[Question]:
    """The sample as it is, then (for the option-order probe) every other cyclic order of its options."""
    count = len(sample.choices)
    shifts = range(count if all_orders else 1)
    return [Question(sample, tuple((index + shift) % count for index in range(count))) for shift in shifts]


def preferred(capabilities: Collection[str]) -> Reading:
    """The reading that suits a backend with these capabilities."""
    return next((reading for reading, needed in NEEDS.items() if needed in capabilities), "text")


def request(
    question: Question, prompt: str, mode: Mode, reading: Reading, max_new_tokens: int | None
) -> judgekit.Request:
    """What is sent. Answers are greedy: the choice is asked for, not a sample of choices."""
    messages = (judgekit.Message(role="user", content=prompt),)
    if reading == "loglikelihood":
        texts = question.letters if mode == "letter" else question.options
        return judgekit.Request(messages=messages, continuations=tuple(f" {text}" for text in texts))
    return judgekit.Request(
        messages=messages,
        sampling=judgekit.Sampling(temperature=0, seed=0, max_new_tokens=max_new_tokens or MOST_TOKENS[reading]),
        json_schema=_schema(question.letters) if reading == "schema" else None,
        top_logprobs=TOP_LOGPROBS if reading == "logprobs" else 0,
    )


def read(question: Question, reply: judgekit.Reply, mode: Mode, reading: Reading) -> Picked:
    """The options picked. Raises Unread."""
    if reading == "loglikelihood":
        return _likeliest_letter(question, reply) if mode == "letter" else _likeliest_option(question, reply)
    if reading == "logprobs":
        return _likeliest_token(question, reply)
    text = reply.text
    index = _from_json(text, question.letters) if reading == "schema" else _from_text(text, question)
    return Picked({"letter": index}, {"reply": reply.whole})


def did_not_fit(reply: judgekit.Reply) -> bool:
    """Whether the prompt was too long for the model; an answer that was cut has text, or tokens that were made."""
    made = reply.usage is not None and reply.usage.completion_tokens > 0
    return reply.status == "truncated" and not (reply.whole or reply.reasoning or reply.tokens or made)


def _schema(letters: str) -> dict[str, JsonValue]:
    answer: dict[str, JsonValue] = {"type": "string", "enum": list(letters)}
    return {"type": "object", "properties": {"answer": answer}, "required": ["answer"], "additionalProperties": False}


def _likeliest_letter(question: Question, reply: judgekit.Reply) -> Picked:
    sums = _sums(reply)
    return Picked({"letter": _first_largest(sums)}, {"loglikelihood": _named(question, sums)})


def _likeliest_option(question: Question, reply: judgekit.Reply) -> Picked:
    """By the log-likelihood of the whole option, and by that over its characters, its bytes (UTF-8) and its tokens.

    The lengths in characters and bytes are of the option without the space in front, as lm-evaluation-harness counts
    them, whose acc_norm is acc_char here.
    """
    sums = _sums(reply)
    lengths = {
        "acc": [1] * len(sums),
        "acc_char": [len(option) for option in question.options],
        "acc_byte": [len(option.encode("utf-8", "surrogatepass")) for option in question.options],
        "acc_token": [max(continuation.tokens, 1) for continuation in reply.continuations],
    }
    by = {
        mode: _first_largest([value / length for value, length in zip(sums, of_mode, strict=True)])
        for mode, of_mode in lengths.items()
    }
    figures: dict[str, JsonValue] = {"loglikelihood": _named(question, sums), "tokens": list(lengths["acc_token"])}
    return Picked(by, {**figures, "by": {mode: question.letters[index] for mode, index in by.items()}})


def _sums(reply: judgekit.Reply) -> list[float]:
    """The log-likelihood of each continuation, in nats."""
    sums = [continuation.loglikelihood for continuation in reply.continuations]
    if any(math.isnan(value) for value in sums):
        raise Unread("a log-likelihood is not a number")
    return sums


def _likeliest_token(question: Question, reply: judgekit.Reply) -> Picked:
    if not reply.tokens:
        raise Unread("the backend gave no log-probabilities")
    try:
        shares = judgekit.judging.spread_of_tokens(reply.tokens, question.letters).shares
    except ValueError as error:
        raise Unread(str(error)) from None
    chances = [shares.get(letter, 0.0) for letter in question.letters]
    if not any(chances):
        raise Unread(
            f"no letter is among the alternatives at the first token, {judgekit.shortened(reply.tokens[0].text, 40)!r}"
        )
    known = {letter: round(math.log(share), 4) for letter, share in shares.items() if share > 0}
    return Picked({"letter": _first_largest(chances)}, {"logprobs": dict(sorted(known.items()))})


def _first_largest(values: Sequence[float]) -> int:
    return values.index(max(values))


def _named(question: Question, values: Sequence[float]) -> dict[str, JsonValue]:
    return {letter: round(value, 4) for letter, value in zip(question.letters, values, strict=True)}


_FENCED = re.compile(r"\s*```(?:json)?[ \t]*\n(.*)\n[ \t]*```\s*", re.DOTALL)


def _from_json(text: str, letters: str) -> int:
    fenced = _FENCED.fullmatch(text)
    try:
        tree = json.loads(fenced[1] if fenced else text, object_pairs_hook=tuple)  # so that a key twice is seen
    except (ValueError, RecursionError):
        raise Unread("not one JSON object" if text.strip() else "the reply is empty") from None
    if not isinstance(tree, tuple) or [key for key, _ in tree] != ["answer"]:
        raise Unread("not a JSON object with the one key 'answer'")
    answer = tree[0][1]
    if not isinstance(answer, str) or len(answer) != 1 or answer not in letters:
        raise Unread(f"the answer is none of {', '.join(letters)}: {_short(answer)}")
    return letters.index(answer)


_FRAME = " \t*_`\"'#>()[]"  # Markdown, quotes and brackets around a short answer
_LABELLED = re.compile(
    r"(?:(?:so|thus|therefore|hence),?[ \t]+)?(?:the[ \t]+)?(?:(?:final|correct|right|best)[ \t]+)?"
    r"(?:answer|option|choice|정답|답)[ \t*_]*(?:[:=]|[ \t]is\b:?)(?P<rest>.*)",
    re.IGNORECASE,
)
_LETTER = re.compile(r"(?:(?i:option|choice)[ \t]+)?(?P<letter>[A-Z])(?:[ \t]*[.:)\]*_–-]+[ \t*_]*(?P<option>.+))?")


def _from_text(text: str, question: Question) -> int:
    lines = [line.strip(_FRAME) for line in text.splitlines() if line.strip(_FRAME + ".")]
    if not lines:
        raise Unread("the reply is empty")
    labelled = [match["rest"] for line in lines if (match := _LABELLED.fullmatch(line))]
    if not labelled and len(lines) > 1:
        raise Unread("neither a letter alone nor a line 'Answer: …'")
    answer = (labelled or lines)[-1]
    match = _LETTER.fullmatch(answer.strip(_FRAME).removesuffix(".").strip(_FRAME))
    if match is None or match["letter"] not in question.letters:
        raise Unread(f"none of {', '.join(question.letters)}: {_short(answer)}")
    index = question.letters.index(match["letter"])
    if match["option"] is not None and _folded(match["option"]) != _folded(question.options[index]):
        raise Unread(f"the letter is followed by something else than its option: {_short(answer)}")
    return index


def _folded(text: str) -> str:
    return " ".join(text.strip(_FRAME + ".").casefold().split())


def _short(value: object) -> str:
    return judgekit.shortened(value if isinstance(value, str) else repr(value), 60).strip()
