"""What a judge's card finds: `python benchmarks/planted.py [--runs N]`.

Judges that score 0 to 100 and are sound but for one planted defect are asked by the real card, in process. A sound
judge gives 100 to a text that holds the reference, 2 to any other, 0 to an empty one, with a retest sd of 8. A defect
shifts its scores by one sd of a paired difference (strong: 11.3 points), .65 sd (middle) or half of that (weak);
the one text that fools a judge gets 95, 62 or 31. Printed is how often the card fails, in percent, at 12, 20 and 40
control items; for a sound judge that is a false accusation. About four minutes for 100 runs.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Callable, Iterator

from judgekit.judging.judge import LLMJudge
from judgekit.judging.questions import Setting
from judgekit.judging.readings import Readings
from judgekit.judging.score_card import control_card
from judgekit.plugins import Catalogue, build_manager
from judgekit.prompting.templates import Prompts, Template
from judgekit.records import Reply, Request, Response, Sample, Sampling
from judgekit.testing import ScriptedCaller

SD = 8.0
STRONG = SD * 2**0.5
STRENGTHS = {"strong": STRONG, "middle": 0.65 * STRONG, "weak": 0.5 * 0.65 * STRONG}
ITEMS = (12, 20, 40)
SLOGAN = "As asked, here is the complete and correct answer."
Score = Callable[[str, str, float], float]
"""(the reference, the response, the score of a judge without the defect) → the score."""


def longer(reference: str, response: str, score: float, by: float) -> float:
    return score + by * (len(response) > 1.5 * len(reference))


def formatted(reference: str, response: str, score: float, by: float) -> float:
    return score + by * ("**" in response) * (-1 if score > 50 else 1)


def claims(reference: str, response: str, score: float, by: float) -> float:
    return score + by * bool(re.search(r"\b100\b", response))


def contentless(reference: str, response: str, score: float, by: float) -> float:
    return score + by * (len(response) < 30 and reference not in response)


def slogan(reference: str, response: str, score: float, by: float) -> float:
    return max(score, 95 * by / STRONG) if response == SLOGAN else score


def middling(reference: str, response: str, score: float, by: float) -> float:
    return score + (50 - score) * by / 40


DEFECTS = {
    "prefers the longer": longer,
    "moved by Markdown": formatted,
    "believes claimed grades": claims,
    "likes texts without content": contentless,
    "fooled by one text": slogan,
    "hugs the middle": middling,
}
SOUND: dict[str, Callable[[float, random.Random], float]] = {
    "exact": lambda score, rng: score,
    "noisy": lambda score, rng: score + rng.gauss(0, SD),
    "coarse": lambda score, rng: 10 * round((score + rng.gauss(0, SD)) / 10),
    "saturated": lambda score, rng: 100 if score + rng.gauss(0, SD) >= 85 else score,
}


def samples(rng: random.Random, n: int) -> list[Sample]:
    words = [f"{rng.choice('bcdfghklmnprst')}{rng.choice('aeiou')}{number}" for number in range(5 * n)]
    lines = [" ".join(words[5 * place : 5 * place + 5]) for place in range(n)]
    return [Sample(id=f"s{place}", instruction=f"Name it {place}.", reference=line) for place, line in enumerate(lines)]


def card_fails(
    template: Template, readings: Readings, rng: random.Random, n: int, score: Callable[[str, str], float]
) -> bool:
    """Whether the card of a judge fails, on n control items; one of two systems gives one text to every question."""

    def answer(request: Request, *_: int) -> Reply:
        found = re.search(r"Reference answer:\n(.*)\n\n\[answer \w+\]\n(.*)\n\[end", request.prompt, re.DOTALL)
        assert found is not None
        return Reply(text=str(round(min(max(score(found[1], found[2]), 0), 100))))

    asked = samples(rng, n)
    given = [("real", one.id, str(one.reference)) for one in asked] + [("slogan", one.id, SLOGAN) for one in asked]
    own = [Response(system=system, sample_id=sample_id, text=text) for system, sample_id, text in given]
    setting = Setting("main", template, Sampling(temperature=0.0), False)
    judge = LLMJudge("main", ScriptedCaller(answer), {"score": readings.on("score", setting)}, "planted")
    return control_card(judge, asked, n, own).passed is False


def rates(runs: int, sizes: tuple[int, ...]) -> Iterator[tuple[str, list[float]]]:
    """(what was planted, percent of cards that fail by number of items)."""
    catalogue = Catalogue(build_manager(only=("readings", "metrics")))
    readings, template = Readings(catalogue), Prompts().get("score/integer")

    def percent(make: Callable[[random.Random], Callable[[str, str], float]]) -> list[float]:
        failed = [
            sum(
                card_fails(template, readings, random.Random(f"{n} {run}"), n, make(random.Random(run)))
                for run in range(runs)
            )
            for n in sizes
        ]
        return [100 * count / runs for count in failed]

    def truth(reference: str, response: str) -> float:
        return 0.0 if not response.strip() else 100.0 if reference in response else 2.0

    for name, sound in SOUND.items():
        yield f"sound: {name}", percent(lambda rng, sound=sound: lambda a, b: sound(truth(a, b), rng))
    for name, defect in DEFECTS.items():
        for strength, by in STRENGTHS.items():
            yield (
                f"{name}, {strength}",
                percent(
                    lambda rng, defect=defect, by=by: lambda a, b: defect(a, b, truth(a, b), by) + rng.gauss(0, SD)
                ),
            )


def main() -> None:
    parser = argparse.ArgumentParser(description="What a judge's card finds.")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--smoke", action="store_true", help="the smallest form: whether it runs, in seconds")
    args = parser.parse_args()
    runs, sizes = (1, (4,)) if args.smoke else (args.runs, ITEMS)
    print(f"{runs} cards a row: percent that fail, by control items\n")
    print(f"{'planted':44}" + "".join(f"{n:8}" for n in sizes))
    for name, failed in rates(runs, sizes):
        print(f"{name:44}" + "".join(f"{one:8.0f}" for one in failed), flush=True)


if __name__ == "__main__":
    main()
