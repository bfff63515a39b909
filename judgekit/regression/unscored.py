"""Metrics and systems without any score: the commonest reason, with the hint that mends it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from judgekit.records import ASKED_AGAIN, NO_RESPONSE, Row, VerdictStatus
from judgekit.results import Estimate, RunRecord
from judgekit.secrets import one_line, shortened
from judgekit.text import counted

HINTS: dict[VerdictStatus, str] = {
    "unparsed": "the judge does not keep to the form: try another `mode` (reason_json, integer) or `prompt` for it",
    "truncated": "give it a larger max_new_tokens",
    "refused": "its server refuses these texts: another judge may read them",
    "error": "the same command asks again for what failed; `judgekit doctor` tries the server",
    "unsigned": "look whether the prompt fits the model's context (num_ctx), or try another `mode` (integer)",
    "skipped": "what the metric needs of a sample (a reference, say) is not in the data",
}
ANSWERS_NOTHING = "the system gave no complete response: look at its file under responses/"
LONGEST = 120  # characters of a reason or reply that is shown


def silent(record: RunRecord) -> list[Estimate]:
    """The headlines of what was asked about, and has no score."""
    return [
        one
        for one in record.estimates
        if (one.series, one.estimand, one.group, one.value) == ("value", "new items", None, None)
        and any(count for status, count in one.counts.items() if status not in ("scored", "skipped"))
    ]


def silences(record: RunRecord, rows: Iterable[Row]) -> list[str]:
    """A line on each metric, or one of its systems, without any score."""
    found: dict[tuple[str, str, str], list[Row]] = {
        (one.metric, one.system, one.opponent or ""): [] for one in silent(record)
    }
    for row in rows if found else ():
        if (key := (row.metric, row.system, row.opponent)) in found:
            found[key].append(row)
    heads = [one.metric for one in record.estimates if (one.series, one.estimand) == ("value", "new items")]
    lines = []
    for metric in dict.fromkeys(metric for metric, _, _ in found):
        mine = {key: its for key, its in found.items() if key[0] == metric}
        if len(mine) == heads.count(metric):  # all of its systems
            lines.append(f"{metric}: {why_unscored(row for its in mine.values() for row in its)}")
        else:
            lines += [f"{metric}, {key[1]}: {why_unscored(its)}" for key, its in mine.items()]
    return lines


def why_unscored(rows: Iterable[Row]) -> str:
    """One line on rows of which none has a score; "" where one has, or where there is no row."""
    reasons: Counter[tuple[VerdictStatus, str]] = Counter()
    said: dict[tuple[VerdictStatus, str], str] = {}
    total = 0
    for row in rows:
        if row.value is not None:
            return ""
        total += 1
        verdict = next((one for one in row.verdicts if one.value is None), None)
        reason = (row.status, verdict.detail if verdict is not None else "")
        reasons[reason] += 1
        if verdict is not None and verdict.raw and verdict.raw[:LONGEST] not in verdict.detail:
            said.setdefault(reason, verdict.raw.partition(ASKED_AGAIN)[0])
    if not total:
        return ""
    (status, detail), count = reasons.most_common(1)[0]
    why = shortened(one_line(detail), LONGEST) or status
    heard = f"; it said {shortened(one_line(said[status, detail]), LONGEST)!r}" if (status, detail) in said else ""
    hint = ANSWERS_NOTHING if detail.startswith(NO_RESPONSE) else HINTS.get(status, "")
    return f"no score on any of {counted(total, 'verdict')}, {count:,} {status}: {why}{heard}. {hint}".rstrip(". ")
