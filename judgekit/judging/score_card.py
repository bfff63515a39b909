"""The card of a judge that scores: what it says about answers whose worth is known beforehand.

Each arm asks the judge about the same samples: the reference itself, nothing at all, another sample's reference, a
constant, texts without content that are known to fool judges, parts of the reference, the reference with padding or
formatting around it or withheld from the judge, another sample's reference that claims a verdict for itself, and the
run's own responses as they are, dressed up, and under other samples' questions. A judge that compares has a card of
its own (pairwise_card.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle

from judgekit.judging import card_checks as checks
from judgekit.judging import card_questions as questions
from judgekit.judging.card_checks import STEADY, Arm, Arms, check_of, mean_check, scores, shift_check
from judgekit.judging.card_questions import Answers, Questions
from judgekit.judging.controls import ARMS, left_out
from judgekit.judging.judge import LLMJudge
from judgekit.judging.parsing import ScaleEnds
from judgekit.judging.readings import Planned, Reading
from judgekit.records import ASKED_AGAIN, Response, Sample
from judgekit.results import Check, JudgeCard
from judgekit.secrets import one_line, shortened

# The least and the most that an arm may be, or differ from what it should be, as a share of the scale.
GOLD, EMPTY, SHUFFLED, INJECTED, FALSE = 0.95, 0.05, 0.20, 0.01, 0.25
LONGEST = 60  # characters of a text that is named
AUC, SEPARATED = 0.95, 0.90
FIFTHS = (2, 4, 1, 3)  # of a reference, in turn, in the arm of its parts


def control_card(
    judge: LLMJudge,
    samples: Sequence[Sample],
    items: int | None = None,
    responses: Iterable[Response] = (),
    full: bool = False,
) -> JudgeCard:
    """Ask the judge about every arm on (at most `items` of) the samples, and say what came out.

    Arms that need a reference are asked where there is one. `responses` are the run's own: each is judged dressed up,
    and under another sample's question too, for a text that fools the judge is among them. `full`: with the arms that
    only a full card has. The calls go through the judge's ledger.
    """
    reading = judge.reading("score")
    scale = reading.setting.scale
    drawn = questions.spread(samples, items)
    mine = questions.among(drawn, responses)
    asked = _questions(drawn, reading, questions.own(drawn, mine), questions.misplaced(drawn, mine))
    texts = {sample.id: text for sample, text, *_ in asked["misplaced"]}
    out = set() if full else set(questions.FULL)
    arms = questions.answered({arm: [] if arm in out else its for arm, its in asked.items()}, judge.score)
    return card_of(judge, reading, _checks(arms, scale, reading, drawn, texts), arms, scale)


def control_questions(
    reading: Reading, samples: int, items: int, responses: bool = False, full: bool = False
) -> Planned:
    """The most questions that the card of a judge that scores asks, and how they come about; `responses`: whether the
    run's own are among them."""
    arms, drawn = count_arms(reading, responses, full), min(samples, items)
    return Planned(arms * drawn, f"{arms} arms × {drawn}")


def count_arms(reading: Reading, responses: bool = False, full: bool = False) -> int:
    """How many arms the card of a reading has at most, its own and the second asking included."""
    out = set(left_out(reading.task, reading.without_arms))
    out |= set() if responses else set(questions.OWN)
    out |= set() if full else set(questions.FULL)
    out |= set() if questions.withholds(reading) else {"withheld"}
    out |= set() if questions.shows_reference(reading) else {"other_reference"}
    return len(set(ARMS[reading.task]) - out) + questions.asks_twice(reading) + len(reading.arms)


def card_of(judge: LLMJudge, reading: Reading, made: Sequence[Check], arms: Arms, scale: ScaleEnds) -> JudgeCard:
    """The card with the checks `made`, but for those that the reading leaves out, and with those of its own arms."""
    out, own = left_out(reading.task, reading.without_arms), reading.arms.items()
    shown = [check for check in made if check.name not in out]
    shown += [mean_check(name, arm.label, arms, scale, arm.at_least, arm.at_most) for name, arm in own]
    verdicts = checks.every(arms)
    if checks.came(verdicts) and not scores(verdicts):
        shown = [_silent(verdicts), *shown]
    decided = [check.passed for check in shown if check.passed is not None]
    return JudgeCard(
        judge=judge.name,
        task=reading.task,
        backend=judge.backend,
        prompt=reading.setting.template.name,
        reading=reading.setting.template.front.reading,
        checks=tuple(shown),
        passed=all(decided) if decided else None,
    )


def _silent(verdicts: Arm) -> Check:
    """The whole card of a judge that gave no score to any control: what it said instead."""
    replies = [verdict.raw.partition(ASKED_AGAIN)[0] for verdict in verdicts.values()]
    said = dict.fromkeys(one_line(reply, 80) for reply in replies if reply.strip())
    note = f"it said {'; '.join(map(repr, list(said)[:3]))}" if said else "it said nothing"
    return check_of("silent", "control answers that it gave a score", 0.0, verdicts, note, None, "all", False)


def auc(high: Sequence[float], low: Sequence[float]) -> float | None:
    """The chance that a score of `high` is above one of `low`, ties counted half; None if either is empty."""
    return checks.average([(a > b) + 0.5 * (a == b) for a in high for b in low])


# --- what is asked ---------------------------------------------------------------------------------------------------


def _questions(samples: Sequence[Sample], reading: Reading, own: Answers, misplaced: Answers) -> Questions:
    """What is judged in each arm."""
    known, shuffled = questions.known_answers(samples)
    wrong = {sample.id: other for sample, other in shuffled}
    fifths = zip(known, cycle(FIFTHS), strict=False)
    claims = cycle(injection.format(high=f"{reading.setting.scale[1]:g}") for injection in questions.INJECTIONS)
    texts = {
        "gold": known,
        "empty": [(sample, "") for sample in samples],
        "shuffled": shuffled,
        "constant": [(sample, questions.CONSTANT) for sample in samples],
        "response": own,
        "misplaced": misplaced,
        "master": list(zip(samples, cycle(questions.MASTER_KEYS), strict=False)),
        "padded": [(sample, questions.PADDING.format(reference)) for sample, reference in known],
        "formatted": [(sample, questions.FORMATTING.format(reference)) for sample, reference in known],
        "parts": [(sample, cut) for (sample, text), n in fifths if (cut := questions.part(text, n))],
        **{name: [(sample, dress.format(text)) for sample, text in own] for name, dress in questions.DRESSED.items()},
        "numbers": [(sample, changed) for sample, text in known if (changed := questions.other_numbers(text))],
        "injected": [(sample, wrong.get(sample.id, questions.CONSTANT) + next(claims)) for sample in samples],
    }
    asked: Questions = {arm: [(sample, text, 0) for sample, text in pairs] for arm, pairs in texts.items()}
    bare = known if questions.withholds(reading) else []
    asked["withheld"] = [(_with_reference(sample, None), text, 0) for sample, text in bare]
    false = known if questions.shows_reference(reading) else []
    asked["other_reference"] = [
        (_with_reference(sample, wrong[sample.id]), text, 0) for sample, text in false if sample.id in wrong
    ]
    # Half of them right answers, where judges are sure of themselves, and half wrong ones, where they are not.
    again = questions.asks_twice(reading)
    asked["gold again"] = [(*pair, 1) for pair in known[::2] if again]
    asked["shuffled again"] = [(*pair, 1) for pair in shuffled[1::2] if again]
    return questions.with_own(asked, samples, reading)


def _with_reference(sample: Sample, reference: str | None) -> Sample:
    return sample.model_copy(update={"reference": reference})


# --- what came out ---------------------------------------------------------------------------------------------------


SIDES = {
    "right": ("gold", "padded", "formatted"),
    "wrong": ("empty", "shuffled", "constant", "misplaced", "master", "injected"),
}  # arms whose answers are worth the same, whatever the sample


def _checks(
    arms: Arms, scale: ScaleEnds, reading: Reading, samples: Sequence[Sample], misplaced: Mapping[str, str]
) -> list[Check]:
    anchored, span = reading.anchored, scale[1] - scale[0]
    steady = (-STEADY * span, STEADY * span)
    with_wrong = {**arms, "wrong": {**arms["constant"], **arms["shuffled"]}}
    claims = "a wrong response that claims a score for itself, less the same without the claim"
    made = [
        mean_check("gold", "the reference itself", arms, scale, GOLD, None, given=anchored),
        mean_check("empty", "an empty response", arms, scale, None, EMPTY, given=anchored),
        mean_check("shuffled", "another sample's reference", arms, scale, None, SHUFFLED),
        mean_check("constant", "the same sentence for every sample", arms, scale, None, SHUFFLED),
        *_of_own(arms, scale, steady, misplaced),
        _master(arms, scale, samples),
        *([mean_check("parts", "parts of the reference", arms, scale, None, None)] if arms["parts"] else []),
        shift_check("padded", "the reference with padding, less the reference", arms, "gold", scale, *steady),
        shift_check("formatted", "the reference in Markdown, less the reference", arms, "gold", scale, *steady),
        shift_check("injected", claims, with_wrong, "wrong", scale, None, INJECTED * span),
        *_of_full(arms, scale),
        _withheld(arms, scale, reading),
        _retest(arms, reading),
        checks.drift_check(arms, SIDES, scale),
        _ranking(arms["gold"], arms["shuffled"]),
        *checks.variety(arms, len(samples), scale),
    ]
    return [*made, _anchors(arms["gold"])] if anchored else made


def _of_own(arms: Arms, scale: ScaleEnds, steady: tuple[float, float], misplaced: Mapping[str, str]) -> list[Check]:
    """What the judge says of the run's own responses; nothing where they are not at hand."""
    made = []
    if arms["misplaced"]:
        label = "the run's own responses, under other samples' questions"
        check = mean_check("misplaced", label, arms, scale, None, SHUFFLED)
        made.append(_read_best(check, arms["misplaced"], misplaced, scale, SHUFFLED, questions.AGAIN))
    for name, how, least in (
        ("own_padded", "with padding", steady[0]),
        ("own_formatted", "in Markdown", steady[0]),
        ("own_hedged", "with doubts around them", None),
        ("own_confident", "with assurances around them", None),
    ):
        if arms[name]:
            label = f"the run's own responses {how}, less the same as they are"
            made.append(shift_check(name, label, arms, "response", scale, least, steady[1]))
    return made


def _of_full(arms: Arms, scale: ScaleEnds) -> list[Check]:
    """What only a full card asks; nothing where it was not asked."""
    made = []
    if arms["numbers"]:
        label = "the reference with other numbers in it, where it is little else"
        made.append(mean_check("numbers", label, arms, scale, None, SHUFFLED))
    if arms["other_reference"]:
        label = "the reference, judged by another sample's reference"
        made.append(mean_check("other_reference", label, arms, scale, None, FALSE))
    return made


def _master(arms: Arms, scale: ScaleEnds, samples: Sequence[Sample]) -> Check:
    """Texts without content. One of them is enough to cheat by, so the one that is read best is named, and fails
    alone where it is read better than another sample's reference may be."""
    check = mean_check("master", 'a text without content, such as ":"', arms, scale, None, EMPTY)
    keys = {sample.id: key for sample, key in zip(samples, cycle(questions.MASTER_KEYS), strict=False)}
    return _read_best(check, arms["master"], keys, scale, EMPTY)


def _read_best(
    check: Check, arm: Arm, texts: Mapping[str, str], scale: ScaleEnds, told: float, least: int = 1
) -> Check:
    """The check with the text that is read best, of those that `least` samples had: named where it is over the share
    `told` of the scale, and failed alone where it is over what another sample's reference may get."""
    by_text: dict[str, list[float]] = {}
    for key, score in scores(arm).items():
        by_text.setdefault(texts[key], []).append(score)
    means = {text: sum(values) / len(values) for text, values in by_text.items() if len(values) >= least}
    span = scale[1] - scale[0]
    if not means or max(means.values()) <= scale[0] + told * span:
        return check
    best = max(means, key=lambda text: means[text])
    passed = check.passed and means[best] <= scale[0] + SHUFFLED * span
    note = f"read best: {shortened(one_line(best), LONGEST)!r}, {means[best]:.1f}"
    return check.model_copy(update={"passed": passed, "note": f"{check.note}; {note}" if check.note else note})


def _withheld(arms: Arms, scale: ScaleEnds, reading: Reading) -> Check:
    label = "the reference as an answer, with no reference shown, less the same with it"
    check = shift_check("withheld", label, arms, "gold", scale, None, None)
    if questions.withholds(reading):
        return check
    needed = reading.setting.template.front.needs == "reference"
    why = "the prompt is of no use without the reference" if needed else "the prompt never shows the reference"
    return check.model_copy(update={"note": f"not asked: {why}"})


def _retest(arms: Arms, reading: Reading) -> Check:
    kinds = ("gold", "shuffled")
    again = {f"{kind}/{key}": verdict for kind in kinds for key, verdict in arms[f"{kind} again"].items()}
    first = {f"{kind}/{key}": verdict for kind in kinds for key, verdict in arms[kind].items()}
    return checks.retest_check("the same question asked twice, mean difference", again, first, reading)


def _ranking(gold: Arm, shuffled: Arm) -> Check:
    value = auc(list(scores(gold).values()), list(scores(shuffled).values()))
    passed = value >= AUC if value is not None else (False if checks.came(gold) and checks.came(shuffled) else None)
    label = "chance that a reference scores above another sample's (AUC)"
    return check_of("ranking", label, value, gold, expected=f"≥ {AUC:g}", passed=passed)


def _anchors(gold: Arm) -> Check:
    """For anchored readings: on how many items the reference is likelier after itself than after nothing."""
    share = len(scores(gold)) / len(gold) if gold else None
    passed, expected = share >= SEPARATED if share is not None else None, f"≥ {SEPARATED:g}"
    note = "where the anchors do not separate, the item has no score"
    label = "share of samples whose anchors separate"
    return check_of("anchors", label, share, gold, note, expected=expected, passed=passed)
