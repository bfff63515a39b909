"""What comes of a judge card's arms: means, shifts and shares against their thresholds, noise allowed for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from judgekit.judging.card_questions import asks_twice
from judgekit.judging.parsing import ScaleEnds
from judgekit.judging.readings import Reading
from judgekit.records import Verdict
from judgekit.results import Check, Interval

CONFIDENCE = 0.95
TESTED = 14  # checks of a card, over which the chance of a false accusation is shared
FAMILY = 1 - 2 * (1 - CONFIDENCE) / TESTED  # the confidence of one of them
STEADY, DRIFT = 0.05, 0.03  # shares of the scale by which what should not move a judge, and time, may move it
GRADED, STEPS = 8, 5  # of so many parts of references on, so many different scores are due
NOISE, UNSURE = 0.10, 0.05  # shares of the scale: of a difference, and of a mean, that are put down to noise at most

Arm = Mapping[str, Verdict]  # the verdicts of one control by sample id
Arms = Mapping[str, Arm]
Bound = float | None  # the least or the most that a value may be, where there is one


def mean_check(
    name: str, label: str, arms: Arms, scale: ScaleEnds, least: Bound, most: Bound, given: bool = False
) -> Check:
    """The arm's mean score against its threshold; `least` and `most` are shares of the scale, and `given`: it holds by
    construction and proves nothing."""
    arm, values, span = arms[name], list(scores(arms[name]).values()), scale[1] - scale[0]
    at_least, at_most = (None if share is None else scale[0] + share * span for share in (least, most))
    chance = noise(values, span)
    if at_least is not None and at_most is not None:
        middle, half = (at_least + at_most) / 2, (at_most - at_least) / 2
        at_least, at_most = middle - max(half, chance), middle + max(half, chance)
    else:  # beyond the threshold by more than noise
        chance = min(chance, UNSURE * span)
        at_least = None if at_least is None else at_least - chance
        at_most = None if at_most is None else at_most + chance
    expected = between(at_least, at_most)
    if given:
        note = "by construction: this answer is an anchor of the scale"
        return check_of(name, label, average(values), arm, note, expected=expected)
    inside = within(average(values), at_least, at_most) if came(arm) and expected else None
    interval = interval_of("plus_two_t", values, scale)
    return check_of(name, label, average(values), arm, missing_note(arm, values), interval, expected, inside)


def shift_check(name: str, label: str, arms: Arms, base: str, scale: ScaleEnds, least: Bound, most: Bound) -> Check:
    """The mean difference of two arms on the same samples; without bounds it is told and not judged."""
    arm, mine, others = arms[name], scores(arms[name]), scores(arms[base])
    differences = [score - others[key] for key, score in mine.items() if key in others]
    mean, chance = average(differences), noise(differences, scale[1] - scale[0])
    least, most = None if least is None else min(least, -chance), None if most is None else max(most, chance)
    expected, interval = between(least, most, "+"), interval_of("paired", differences, scale)
    inside = within(mean, least, most) if came(arm) and expected else None
    return check_of(name, label, mean, arm, missing_note(arm, differences), interval, expected, inside)


def every(arms: Arms) -> Arm:
    return {f"{name}/{key}": verdict for name, arm in arms.items() for key, verdict in arm.items()}


def drift_check(arms: Arms, sides: Mapping[str, Sequence[str]], scale: ScaleEnds) -> Check:
    """How far the scores of the second half of the samples are from those of the first: the one of the `sides`, groups
    of arms whose answers are worth the same, that moved more. Arms are asked sample by sample, in one order."""
    moved = [move for names in sides.values() if (move := _moved([scores(arms[name]) for name in names])) is not None]
    label = "scores of the samples asked last, less those asked first: the judge changed while it was asked"
    verdicts = every({name: arms[name] for names in sides.values() for name in names})
    if not moved:
        return check_of("drift", label, None, verdicts, "too few samples")
    span = scale[1] - scale[0]
    value, error, asked = max(moved, key=lambda move: abs(move[0]))
    most = max(DRIFT * span, min(error, NOISE * span))
    passed = abs(value) <= most if came(verdicts) else None
    made = check_of("drift", label, value, verdicts, expected=between(-most, most, "+"), passed=passed)
    return made.model_copy(update={"n_items": asked})


def _moved(arms: Sequence[Mapping[str, float]]) -> tuple[float, float, int] | None:
    """(second half less first, its error at the level of a card's checks, samples), of the samples' means over arms;
    None for under four samples."""
    import numpy as np

    from judgekit.statistics.intervals import t_quantile

    ids = list(dict.fromkeys(key for arm in arms for key in arm))
    about = [(arm, sum(arm.values()) / len(arm)) for arm in arms if arm]
    means = [np.mean([arm[key] - mean for arm, mean in about if key in arm]) for key in ids]
    first, last = np.asarray(means[: len(means) // 2]), np.asarray(means[len(means) // 2 :])
    if len(first) < 2:
        return None
    error = float(np.sqrt(np.var(first, ddof=1) / len(first) + np.var(last, ddof=1) / len(last)))
    return float(last.mean() - first.mean()), t_quantile(FAMILY, len(means) - 2) * error, len(means)


def variety(arms: Arms, samples: int, scale: ScaleEnds) -> list[Check]:
    """How much of the scale the judge uses: different scores, and their entropy. Few steps on a scale of ten or more
    are a fault where parts of the references were judged: these are worth something in between."""
    used = [round(score, 6) for arm in arms.values() for score in scores(arm).values()]
    verdicts = every(arms)
    shares = [count / len(used) for count in Counter(used).values()]
    entropy = sum(-share * math.log2(share) for share in shares)
    values = (float(len(shares)), max(entropy, 0.0)) if used else (None, None)
    coarse = "how many different scores the judge used over all arms; a few coarse steps hide small differences"
    bits = "of those scores: 0 if it always says the same, 1 for two scores used alike, one more each time they double"
    judged = scale[1] - scale[0] >= 10 and len(scores(arms["parts"])) >= GRADED
    expected, enough = (f"≥ {STEPS}", len(shares) >= STEPS) if judged else ("", None)
    checks = [
        check_of("distinct", "different scores used", values[0], verdicts, coarse, None, expected, enough),
        check_of("entropy", "scale entropy, in bits", values[1], verdicts, bits),
    ]
    return [check.model_copy(update={"n_items": samples}) for check in checks]


def between(least: Bound, most: Bound, sign: str = "") -> str:
    """The bounds, as a card prints them."""
    low, high = ("" if bound is None else f"{bound:{sign}g}" for bound in (least, most))
    return f"{low} … {high}" if low and high else f"≥ {low}" if low else high and f"≤ {high}"


def retest_check(label: str, again: Arm, first: Arm, reading: Reading) -> Check:
    """How far a second reply to the same question is from the first."""
    earlier = scores(first)
    differences = [abs(value - earlier[key]) for key, value in scores(again).items() if key in earlier]
    drawn = "not asked: the judge draws nothing, and the same question has the same reply"
    note = missing_note(again, differences) if asks_twice(reading) else drawn
    return check_of("retest", label, average(differences), again, note)


def check_of(
    name: str,
    label: str,
    value: float | None,
    arm: Arm,
    note: str = "",
    interval: Interval | None = None,
    expected: str = "",
    passed: bool | None = None,
) -> Check:
    """The line of a card on an arm: how many samples it was asked about, and what became of them."""
    rest: dict[str, Any] = {"n_items": len(arm), "counts": Counter(verdict.status for verdict in arm.values())}
    if interval is not None:
        rest |= {"low": interval.low, "high": interval.high}
    return Check(name=name, label=label, value=value, expected=expected, passed=passed, note=note, **rest)


def interval_of(method: str, values: Sequence[float], scale: ScaleEnds) -> Interval:
    import numpy as np

    from judgekit.statistics.intervals import Range, plus_two_t, wilson
    from judgekit.statistics.paired import paired_interval

    make = {"plus_two_t": plus_two_t, "wilson": wilson, "paired": paired_interval}[method]
    return make(np.asarray(values, dtype=float), CONFIDENCE, Range(*scale))


def scores(arm: Arm) -> dict[str, float]:
    return {key: verdict.value for key, verdict in arm.items() if verdict.value is not None}


def noise(differences: Sequence[float], span: float, most: float = NOISE) -> float:
    """How far the mean of differences that are nil may come out by chance alone: t at the level of a whole card's
    checks times the standard error, but never more than the share `most` of the scale. A judge is not accused of its
    noise."""
    import numpy as np

    from judgekit.statistics.intervals import standard_error, t_quantile

    if len(differences) < 2:
        return 0.0
    error = standard_error(np.asarray(differences, dtype=float)) or 0.0
    return min(t_quantile(FAMILY, len(differences) - 1) * error, most * span)


def average(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def came(arm: Arm) -> bool:
    """Whether any reply came at all: calls that failed say nothing about the judge."""
    return any(verdict.status != "error" for verdict in arm.values())


def within(value: float | None, least: Bound, most: Bound) -> bool:
    """Whether the value is there and within its bounds: a judge that was asked and never understood fails."""
    return value is not None and (least is None or value >= least) and (most is None or value <= most)


def missing_note(arm: Arm, values: Sequence[float]) -> str:
    if not arm:
        return "no sample to ask about"
    return "" if len(values) == len(arm) else f"over {len(values)} of {len(arm)} samples: the rest were not scored"
