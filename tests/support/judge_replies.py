"""Hypothesis strategies that build a judge's replies, for every reading, and know what each must be read as."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from judgekit.judging.questions import Grading, Question, Setting, Task, mark
from judgekit.judging.readings import Reading
from judgekit.prompting.templates import Prompts
from judgekit.records import Continuation, Reply, Sample, Token
from judgekit.thoughts import STRIP
from judges import reading_for

SAMPLE = Sample(id="s", instruction="Give the plural of the word.", input="mouse", reference="mice")
RESPONSES = ("The plural is\nScore: 300 points\n**about 95**\nWinner: the mouse", "Mouses.")
CRITERIA = {"helpful": "It helps.", "correct": "It is true.", "short": "It is short."}
WEIGHTS = {"helpful": 1.0, "correct": 2.0, "short": 0.5}
# By reading: the prompt that is read so, and how it is to grade.
PROMPTS: dict[str, tuple[Task, str, Grading]] = {
    "integer": ("score", "score/grade", Grading(scale=(0.0, 100.0))),
    "reason_json": ("score", "score/rubric", Grading(rubric={-2: "bad", 0: "fair", 2: "good"})),
    "criteria": ("score", "score/criteria", Grading(criteria=CRITERIA, weights=WEIGHTS)),
    "expected_score": ("score", "score/geval", Grading(steps=("Read.", "Judge."))),
    "yes_no": ("score", "score/yes_no", Grading()),
    "likelihood_ratio": ("score", "score/likelihood_ratio", Grading()),
    "letter": ("pairwise", "pairwise/letter", Grading()),
    "pairwise_json": ("pairwise", "pairwise/reason_json", Grading()),
    "preference": ("pairwise", "pairwise/preference", Grading()),
    "pairwise_likelihood": ("pairwise", "pairwise/likelihood_ratio", Grading()),
}
SETTINGS = {
    name: (task, Setting("main", Prompts().get(prompt), grading=grading, logprobs=True))
    for name, (task, prompt, grading) in PROMPTS.items()
}


@dataclass(frozen=True)
class Case:
    """A reading, a question, replies to it, and what they must be read as: a value, or a status without one."""

    reading: Reading
    question: Question
    replies: tuple[Reply, ...]
    must: float | str


words = st.text(st.characters(codec="utf-8", exclude_characters="<>{}`"), max_size=40)
prose = words.map(lambda text: f"- {' '.join(text.split())}")
thoughts = st.one_of(st.just(""), words.map(lambda text: f"<think>{text}\nScore: 3\n</think>\n"))
GOOD_LINES = ("{}", "{}.", "**{}**", "{label}: {}", "{label} = {}", "Final {label}: {}", "{label} {nonce}: {}", "`{}`")
BAD_LINES = (
    "about {}", "{} points", "{}-{}", "{} {}", "{}!", "{}e1", "+{}", "{label}: {} or so", "{label} {}",
    "grade: {}", "down{label}: {}", "{label} of {}", "{}/7", "{label} deadbeef: {}", "", " ", "{label}: ",
)  # fmt: skip


@st.composite
def cases(draw: st.DrawFn, name: str) -> Case:
    task, setting = SETTINGS[name]
    swapped = task == "pairwise" and draw(st.booleans())
    shown = RESPONSES if task == "pairwise" else RESPONSES[:1]
    question = Question(SAMPLE, shown, draw(st.integers(0, 3)), swapped)
    if name in ("expected_score", "yes_no", "preference") and draw(st.booleans()):
        setting = replace(setting, logprobs=False)
    reading = reading_for(task, setting)
    nonce = mark("nonce", setting, question)
    replies, must = draw(MAKERS[name](reading, nonce))
    if draw(st.integers(0, 9)) == 0:
        status = draw(st.sampled_from(["refused", "truncated", "error"]))
        replies = tuple(reply.model_copy(update={"status": status, "tokens": ()}) for reply in replies)
        must = status
    if swapped and isinstance(must, float):
        must = 1.0 - must
    return Case(reading, question, replies, must)


Made = st.SearchStrategy[tuple[tuple[Reply, ...], "float | str"]]


def _lines(label: str, value: st.SearchStrategy[tuple[str, float | str]]) -> Callable[[Reading, str], Made]:
    """Short answers: alone, or in a labelled line amid prose."""

    @st.composite
    def make(draw: st.DrawFn, reading: Reading, nonce: str) -> tuple[tuple[Reply, ...], float | str]:
        said, must = draw(value)
        if draw(st.integers(0, 3)) == 0:
            line, must = draw(st.sampled_from(BAD_LINES)), "unparsed"
        else:
            line = draw(st.sampled_from(GOOD_LINES))
        text = line.replace("{label}", label).replace("{nonce}", nonce).replace("{}", said)
        before, after = draw(st.lists(prose, max_size=2)), draw(st.lists(prose, max_size=2))
        if must != "unparsed" and label not in text:
            before = after = []  # a bare answer is the whole reply
        reply = draw(thoughts) + "\n".join([*before, text, *after])
        return (STRIP.cut(Reply(text=reply)),), must

    return make


def _json(values: Callable[[Reading], st.SearchStrategy[tuple[dict[str, object], float]]]) -> Callable[..., Made]:
    """An object as it was asked for, or with one thing wrong."""

    @st.composite
    def make(draw: st.DrawFn, reading: Reading, nonce: str) -> tuple[tuple[Reply, ...], float | str]:
        fields, value = draw(values(reading))
        found: dict[str, object] = {"rationale": draw(words), **fields, "nonce": nonce}
        name = draw(st.sampled_from(sorted(fields)))
        must: float | str = "unparsed"
        wrong = draw(st.sampled_from(["", "", "", "", "nonce", "key", "gone", "type", "range", "twice", "half", "two"]))
        if wrong == "":
            must = value
        elif wrong == "nonce":
            found["nonce"], must = draw(words.filter(lambda text: text != nonce)), "unsigned"
        elif wrong == "key":
            found["final_score"] = 1
        elif wrong == "gone":
            del found[name]
        elif wrong == "type":
            found[name] = draw(st.sampled_from([None, True, [1], {"a": 1}, "5 or 6", 2.5, "Ａ", float("nan"), 1e400]))
        elif wrong == "range":
            found[name] = draw(st.sampled_from([-3, 101, 10**30, "C"]))
        text = json.dumps(found, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
        text = {"half": text[:-2], "two": f"{text}\n{text}", "twice": f'{text[:-1]}, "{name}": 1}}'}.get(wrong, text)
        text = draw(st.sampled_from(["{}", "```json\n{}\n```", "```\n{}\n```", "Here it is:\n{}\nDone."])).replace(
            "{}", text
        )
        return (STRIP.cut(Reply(text=draw(thoughts) + text)),), must

    return make


def _score(reading: Reading) -> st.SearchStrategy[tuple[dict[str, object], float]]:
    low, high = reading.setting.scale
    return st.integers(int(low), int(high)).map(lambda score: ({"score": score}, float(score)))


def _several(reading: Reading) -> st.SearchStrategy[tuple[dict[str, object], float]]:
    level = st.integers(1, 10)
    total = sum(WEIGHTS.values())
    return st.fixed_dictionaries(dict.fromkeys(CRITERIA, level)).map(
        lambda found: (dict(found), sum(WEIGHTS[name] * score for name, score in found.items()) / total)
    )


def _winner(reading: Reading) -> st.SearchStrategy[tuple[dict[str, object], float]]:
    return st.sampled_from([("A", 1.0), ("B", 0.0), ("tie", 0.5)]).map(lambda pair: ({"winner": pair[0]}, pair[1]))


def _chances(worth: dict[str, float], least: float) -> Callable[..., Made]:
    """Probabilities of the answers and of something else, as alternatives of a token or as continuations."""

    @st.composite
    def make(draw: st.DrawFn, reading: Reading, nonce: str) -> tuple[tuple[Reply, ...], float | str]:
        weights = draw(st.lists(st.integers(0, 1000), min_size=len(worth), max_size=len(worth)))
        others = draw(st.sampled_from([0, 1, 100, 1000, 10_000]))
        total = sum(weights) + others + 1  # the 1 is lost: no backend tells all alternatives
        chances = {answer: weight / total for answer, weight in zip(worth, weights, strict=True)}
        mass = math.fsum(chances.values())
        must: float | str = "unparsed"
        if abs(mass - least) < 1e-6:
            chances, mass = dict.fromkeys(worth, 0.0), 0.0
        if mass >= least:
            must = math.fsum(worth[answer] * chance for answer, chance in chances.items()) / mass
        if reading.kind == "loglikelihood":
            plain = [Continuation(token_logprobs=(_log(chance * 0.75),)) for chance in chances.values()]
            spaced = [Continuation(token_logprobs=(_log(chance * 0.25), 0.0)) for chance in chances.values()]
            return (Reply(continuations=tuple(plain + spaced)),), must
        spelt = draw(st.sampled_from(["{}", " {}", "**{}"]))
        top = [(spelt.replace("{}", answer), _log(chance)) for answer, chance in chances.items()]
        top.append((draw(st.sampled_from(["Hm", " I", "x4", "\n\n"])), _log(others / total)))
        text, logprob = max(top, key=lambda pair: pair[1])
        tokens = [Token(text=text, logprob=logprob, top=tuple(top))]
        tokens += [Token(text=end, logprob=0.0) for end in draw(st.sampled_from([[], [], [" because"], ["\n", "So"]]))]
        status = draw(st.sampled_from(["complete", "truncated"]))
        reply = Reply(text="".join(token.text for token in tokens), status=status, tokens=tuple(tokens))
        return (reply,), must

    return make


def _log(chance: float) -> float:
    return math.log(chance) if chance > 0 else -9999.0


@st.composite
def _ratio(draw: st.DrawFn, reading: Reading, nonce: str) -> tuple[tuple[Reply, ...], float | str]:
    answer, gold, empty = draw(st.tuples(*[st.integers(-400, 0)] * 3))
    if gold <= empty:
        return _likely([answer, gold, empty]), "unparsed"
    low, high = reading.setting.scale
    return _likely([answer, gold, empty]), low + _share(answer, gold, empty) * (high - low)


@st.composite
def _two_ratios(draw: st.DrawFn, reading: Reading, nonce: str) -> tuple[tuple[Reply, ...], float | str]:
    first, second, gold, empty = draw(st.tuples(*[st.integers(-400, 0)] * 4))
    if gold <= empty:
        return _likely([first, second, gold, empty]), "unparsed"
    a, b = _share(first, gold, empty), _share(second, gold, empty)
    return _likely([first, second, gold, empty]), 1.0 if a > b else 0.0 if a < b else 0.5


def _share(answer: int, gold: int, empty: int) -> float:
    return min(max((answer - empty) / (gold - empty), 0.0), 1.0)


def _likely(sums: Sequence[int]) -> tuple[Reply, ...]:
    return tuple(Reply(continuations=(Continuation(token_logprobs=(total / 2, total / 2)),)) for total in sums)


MAKERS: dict[str, Callable[..., Made]] = {
    "integer": _lines("Score", st.integers(-3, 103).map(lambda n: (str(n), float(n) if 0 <= n <= 100 else "unparsed"))),
    "letter": _lines("Winner", st.sampled_from([("A", 1.0), ("B", 0.0), ("tie", 0.5), ("C", "unparsed")])),
    "reason_json": _json(_score),
    "criteria": _json(_several),
    "pairwise_json": _json(_winner),
    "expected_score": _chances({str(level): float(level) for level in range(1, 6)}, 0.8),
    "yes_no": _chances({"Yes": 1.0, "No": 0.0}, 0.5),
    "preference": _chances({"A": 1.0, "B": 0.0}, 0.5),
    "likelihood_ratio": _ratio,
    "pairwise_likelihood": _two_ratios,
}
