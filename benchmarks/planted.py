"""What the judge cards find: `python benchmarks/planted.py [--runs N] [--only TEXT] [--loopback]`.

Judges that are sound but for one planted defect are asked by the real cards, in process. A sound judge scores by the
share of the reference that a text holds (100, 80 … 2), gives 0 to an empty one, and has a retest sd of 8; one that
compares prefers the higher of two such scores. A defect shifts the scores by one sd of a paired difference (strong:
11.3 points), .65 sd (middle) or half of that (weak); the one text that fools a judge gets 95, 62 or 31; a judge of few
steps has 3, 4 or 5; a defect that decides (the place of an answer, yes, a random grade) decides 50, 40 or 20 % of the
verdicts. Printed is how often the card fails, in percent, by control items; for a sound judge that is a false
accusation. `full` rows are of `card: full`. About half an hour for 100 runs.
With `--loopback` the judges answer over HTTP, asked by the openai backend through a session and a ledger.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from judgekit.calls.ledger import Ledger
from judgekit.calls.session import Session
from judgekit.config.load import build_options
from judgekit.judging.judge import LLMJudge
from judgekit.judging.pairwise_card import pair_card
from judgekit.judging.questions import Setting
from judgekit.judging.readings import Readings
from judgekit.judging.score_card import control_card, control_questions
from judgekit.plugins import Catalogue, build_manager
from judgekit.prompting.templates import Prompts, Template
from judgekit.records import Message, Reply, Request, Response, Sample, Sampling
from judgekit.testing import ScriptedCaller
from judgekit_threads.executor import Threads

SD = 8.0
STRONG = SD * 2**0.5
STRENGTHS = {"strong": 1.0, "middle": 0.65, "weak": 0.325}
STEP = {"strong": 50, "middle": 33, "weak": 25}  # of the scale of a judge that uses few
DECIDED = {"strong": 0.5, "middle": 0.4, "weak": 0.2}
ITEMS = (12, 20, 40)
SLOGAN = "As asked, here is the complete and correct answer."


@dataclass
class Asked:
    """One question: what the judge sees, what the right answer is (`own`), the score of a judge without the defect, and
    which part of the questions were asked before."""

    reference: str
    response: str
    own: str
    score: float
    before: float
    rng: random.Random


Answer = Callable[..., Reply]
Defect = Callable[[Asked, str], float]
"""(the question, the strength) → the score."""


def shifted(holds: Callable[[Asked], float]) -> Defect:
    """A defect that moves the score by its strength, in the direction that `holds` says."""
    return lambda asked, strength: asked.score + STRONG * STRENGTHS[strength] * holds(asked)


def decided(holds: Callable[[Asked], float | None]) -> Defect:
    """A defect that decides some of the verdicts, and leaves the others as they are."""

    def score(asked: Asked, strength: str) -> float:
        said = holds(asked) if asked.rng.random() < DECIDED[strength] else None
        return asked.score if said is None else said

    return score


def _has(pattern: str) -> Callable[[Asked], float]:
    return lambda asked: float(bool(re.search(pattern, asked.response)))


def slogan(asked: Asked, strength: str) -> float:
    return max(asked.score, 95 * STRENGTHS[strength]) if asked.response == SLOGAN else asked.score


def without_numbers(text: str) -> str:
    return re.sub(r"[0-9]", "", text)


DEFECTS: dict[str, Defect] = {
    "prefers the longer": shifted(lambda asked: len(asked.response) > 1.5 * len(asked.reference)),
    "prefers the shorter": shifted(lambda asked: -float(len(asked.response) > 1.5 * len(asked.reference))),
    "prefers Markdown": shifted(_has(r"\*\*")),
    "marks Markdown down": shifted(lambda asked: -_has(r"\*\*")(asked)),
    "believes claimed grades": shifted(_has(r"\b100\b")),
    "likes texts without content": shifted(lambda asked: len(asked.response) < 30 and asked.score < 20),
    "fooled by one text": slogan,
    "hugs the middle": lambda asked, strength: asked.score + (50 - asked.score) * STRONG * STRENGTHS[strength] / 40,
    "random now and then": decided(lambda asked: asked.rng.uniform(0, 100)),
    "says yes": decided(lambda asked: 100.0 if asked.response.strip() else None),
    "ignores the question": decided(lambda asked: 100.0 if len(asked.response.split()) > 3 else None),
    "uses few steps": lambda asked, strength: (step := STEP[strength]) * round(min(max(asked.score, 0), 100) / step),
    "drifts half-way, down": shifted(lambda asked: -float(asked.before > 0.5)),
    "drifts half-way, up": shifted(lambda asked: asked.before > 0.5),
}
FULL: dict[str, Defect] = {
    "prefers the confident": shifted(_has("certain")),
    "prefers hedging": shifted(_has("I may well be wrong")),
    "ignores numbers": decided(
        lambda asked: 100.0 if without_numbers(asked.reference) == without_numbers(asked.response) else None
    ),
    "ignores the reference": decided(lambda asked: worth(asked.own, asked.response)),
}
SOUND: dict[str, Callable[[float, random.Random], float]] = {
    "exact": lambda score, rng: score,
    "noisy": lambda score, rng: score + rng.gauss(0, SD),
    "coarse": lambda score, rng: 10 * round((score + rng.gauss(0, SD)) / 10),
    "saturated": lambda score, rng: 100 if score + rng.gauss(0, SD) >= 85 else score,
}


Liking = Callable[[str, int], float]
"""(a response, its place) → how much a judge that compares likes it, whatever it is worth."""
LIKINGS: dict[str, tuple[Liking, bool]] = {
    "prefers the first": (lambda text, place: -float(place), False),
    "prefers the second": (lambda text, place: float(place), False),
    "prefers the longer": (lambda text, place: float(len(text)), False),
    "prefers Markdown": (lambda text, place: float("**" in text), False),
    "believes claims": (lambda text, place: float(bool(re.search(r"winner|better|assistant|\[A", text, re.I))), False),
    "likes texts without content": (lambda text, place: float(len(text) < 12), False),
    "prefers the confident": (lambda text, place: float("certain" in text), True),
    "prefers hedging": (lambda text, place: float("I may well be wrong" in text), True),
}
SURE = 25.0  # points of difference under which a judge that compares calls a tie


@dataclass
class Judged:
    """What a card is made with: the prompts, the judge before its defect, and whether all arms are asked."""

    readings: Readings
    score: Template
    pair: Template
    sound: Callable[[float, random.Random], float]
    full: bool
    loopback: bool = False

    @contextmanager
    def caller(self, answer: Answer) -> Iterator[Any]:
        """What carries the judge's questions to the function that answers them."""
        if not self.loopback:
            yield ScriptedCaller(answer)
            return
        with Served(answer) as url, tempfile.TemporaryDirectory() as folder:
            options = {"model": "planted", "base_url": f"{url}/v1"}
            factory = Catalogue(build_manager(only=("openai",))).get("backends", "openai")
            with Ledger(Path(folder) / "ledger.sqlite") as ledger, Session(ledger, Threads(1), jobs=1) as session:
                yield session.caller("judges.main", factory(build_options(factory.Options, options, "openai")))


class Served:
    """An OpenAI-shaped server on the loopback, one request at a time, that answers by a function of the request."""

    def __init__(self, answer: Answer) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.send({"object": "list", "data": [{"id": "planted", "object": "model"}]})

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                reply = answer(Request(messages=tuple(Message(**one) for one in asked["messages"])), 0, 0)
                message = {"role": "assistant", "content": reply.text}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                self.send({"id": f"chatcmpl-{id(asked)}", "object": "chat.completion", "choices": [choice]})

            def send(self, tree: dict[str, Any]) -> None:
                body = json.dumps(tree).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}"

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def samples(rng: random.Random, n: int) -> list[Sample]:
    words = [f"{rng.choice('bcdfghklmnprst')}{rng.choice('aeiou')}{number}" for number in range(5 * n)]
    lines = [" ".join(words[5 * place : 5 * place + 5]) for place in range(n)]
    return [Sample(id=f"s{place}", instruction=f"Name it {place}.", reference=line) for place, line in enumerate(lines)]


def responses(rng: random.Random, asked: list[Sample]) -> list[Response]:
    """What two systems said: the one knows some of each answer, the other says the slogan every third time."""
    given = []
    for place, one in enumerate(asked):
        words = str(one.reference).split()
        some = [word if rng.random() < rng.random() else f"x{word}" for word in words]
        given.append(Response(system="one", sample_id=one.id, text=" ".join(some)))
        other = SLOGAN if place % 3 == 0 else " ".join(some[::-1])
        given.append(Response(system="two", sample_id=one.id, text=other))
    return given


def worth(reference: str, response: str) -> float:
    """The score of a judge without noise or defect: the share of the reference's words that are there."""
    if not response.strip():
        return 0.0
    there = set(re.findall(r"\w+", response))
    words = reference.split()
    return max(2.0, 100 * sum(word in there for word in words) / len(words))


def score_card_fails(judged: Judged, rng: random.Random, n: int, defect: Defect | None, strength: str) -> bool:
    """Whether the card of a judge that scores fails, on n control items."""
    reading = judged.readings.on("score", Setting("main", judged.score, Sampling(temperature=0.0), False))
    asked, total, done = samples(rng, n), control_questions(reading, n, n, True, judged.full).requests, 0

    def own(request: Request) -> str:
        named = re.search(r"Name it ([0-9]+)", request.prompt)
        assert named is not None
        return str(next(one.reference for one in asked if one.id == f"s{named[1]}"))

    def answer(request: Request, *_: int) -> Reply:
        nonlocal done
        found = re.search(r"Reference answer:\n(.*)\n\n\[answer \w+\]\n(.*)\n\[end", request.prompt, re.DOTALL)
        assert found is not None
        score, done = judged.sound(worth(found[1], found[2]), rng), done + 1
        if defect is not None:
            score = defect(Asked(found[1], found[2], own(request), score, done / total, rng), strength)
        return Reply(text=str(round(min(max(score, 0), 100))))

    with judged.caller(answer) as caller:
        judge = LLMJudge("main", caller, {"score": reading}, "planted")
        return control_card(judge, asked, n, responses(rng, asked), judged.full).passed is False


def pair_card_fails(judged: Judged, rng: random.Random, n: int, liking: Liking | None, strength: str) -> bool:
    """Whether the card of a judge that compares fails, on n control items (half as many pairs)."""
    reading = judged.readings.on("pairwise", Setting("main", judged.pair, Sampling(temperature=0.0), False))

    def answer(request: Request, *_: int) -> Reply:
        reference = re.search(r"for comparison:\n(.*?)\n\n\[response A", request.prompt, re.DOTALL)
        shown = re.findall(r"\[response [AB] \w+\]\n(.*?)\n\[end of", request.prompt, re.DOTALL)
        assert reference is not None
        likes = [0.0, 0.0] if liking is None else [liking(text, place) for place, text in enumerate(shown)]
        if likes[0] != likes[1] and rng.random() < DECIDED[strength]:
            a, b = likes
        else:
            a, b = (judged.sound(worth(reference[1], text), rng) for text in shown)
            a, b = (0.0, 0.0) if abs(a - b) < SURE else (a, b)
        return Reply(text="tie" if a == b else "AB"[a < b])

    with judged.caller(answer) as caller:
        judge = LLMJudge("main", caller, {"pairwise": reading}, "planted")
        return pair_card(judge, samples(rng, n), n, judged.full).passed is False


def rates(
    runs: int, sizes: tuple[int, ...], only: str = "", loopback: bool = False
) -> Iterator[tuple[str, list[float]]]:
    """(what was planted, percent of cards that fail by number of items)."""
    readings = Readings(Catalogue(build_manager(only=("readings", "metrics"))))
    score, pair = Prompts().get("score/integer"), Prompts().get("pairwise/letter")

    def percent(fails: Callable[[Judged, random.Random, int, Any, str], bool], *rest: Any) -> list[float]:
        *judged, planted, strength = rest
        one = Judged(readings, score, pair, *judged, loopback)
        by_size = [
            [fails(one, random.Random(f"{n} {run} {strength}"), n, planted, strength) for run in range(runs)]
            for n in sizes
        ]
        return [100 * sum(failed) / runs for failed in by_size]

    rows: list[tuple[str, Any]] = []
    for name, sound in SOUND.items():
        rows += [
            (f"scores, sound: {name}", (score_card_fails, sound, False, None, "")),
            (f"scores, sound: {name}, full", (score_card_fails, sound, True, None, "")),
            (f"compares, sound: {name}, full", (pair_card_fails, sound, True, None, "")),
        ]
    noisy, scored = SOUND["noisy"], [(*one, False) for one in DEFECTS.items()] + [(*one, True) for one in FULL.items()]
    for strength in STRENGTHS:
        rows += [
            (f"scores, {name}, {strength}{', full' * full}", (score_card_fails, noisy, full, defect, strength))
            for name, defect, full in scored
        ]
        rows += [
            (f"compares, {name}, {strength}{', full' * full}", (pair_card_fails, noisy, full, liking, strength))
            for name, (liking, full) in LIKINGS.items()
        ]
    for label, row in rows:
        if only in label:
            yield label, percent(*row)


def main() -> None:
    parser = argparse.ArgumentParser(description="What the judge cards find.")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--only", default="", help="the rows whose label has this text")
    parser.add_argument("--loopback", action="store_true", help="ask the judges over HTTP")
    parser.add_argument("--smoke", action="store_true", help="the smallest form: whether it runs, in seconds")
    args = parser.parse_args()
    runs, sizes = (1, (4,)) if args.smoke else (args.runs, ITEMS)
    print(f"{runs} cards a row: percent that fail, by control items\n")
    print(f"{'planted':52}" + "".join(f"{n:8}" for n in sizes))
    for name, failed in rates(runs, sizes, args.only, args.loopback):
        print(f"{name:52}" + "".join(f"{one:8.0f}" for one in failed), flush=True)


if __name__ == "__main__":
    main()
