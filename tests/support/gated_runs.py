"""The sample run with a gate of every outcome, and the same with hostile texts in each place that has one."""

from __future__ import annotations

from dataclasses import replace

from judgekit.results import Gate, GateClaim, Interval, ItemChange, RunView
from sample_run import SCORE, WIN_RATE, hostile_run, sample_run

BOUNDS = {"PASS": (-1.0, 2.0), "FAIL": (-12.0, -6.0), "INCONCLUSIVE": (-5.0, 1.0)}


def claim(outcome="FAIL", **changes):
    low, high = BOUNDS[outcome]
    found = GateClaim(
        metric="quality", system="sft", kind="margin", threshold=3, outcome=outcome, scale=SCORE,
        value=(low + high) / 2, interval=Interval(method="paired_t", low=low, high=high), p=0.00004, p_holm=0.00008,
        detectable=2.5,
        candidate=61.0, baseline=70.0, n_items=40, better=4, worse=31, equal=5,
        movers=(
            ItemChange(sample_id="item-1", baseline=90, candidate=10),
            ItemChange(sample_id="item-2", baseline=10, candidate=60),
        ),
    )  # fmt: skip
    return found.model_copy(update=changes)


def limit(outcome="PASS", **changes):
    changes = {"kind": "min", "threshold": 0.5, "scale": WIN_RATE, "value": 0.789, "movers": (), **changes}
    interval = Interval(method="wilson", low=0.7, high=0.88)
    return claim(outcome, metric="winrate", opponent="base", interval=interval, detectable=None, **changes)


def gated(*claims, name=None, trouble="", **changes) -> RunView:
    """The sample run, without the metric that has no result, gated by these claims."""
    view = sample_run(**changes)
    worst = next((one for one in ("FAIL", "INCONCLUSIVE") if one in {claim.outcome for claim in claims}), "PASS")
    gate = Gate(outcome=worst, baseline="release-1", claims=claims) if claims else None
    estimates = tuple(one for one in view.record.estimates if one.metric != "rouge")
    record = view.record.model_copy(update={"gate": gate, "gate_trouble": trouble, "estimates": estimates})
    return replace(view, record=record.model_copy(update={"name": name}) if name else record)


def hostile(text: str) -> RunView:
    """A gated run in which every string that a model, a user or a server can write is `text`."""
    view = hostile_run(text)
    ids = [sample.id for sample in view.samples]
    moved = tuple(ItemChange(sample_id=one, baseline=90, candidate=10) for one in ids)
    changes = {"metric": text, "system": text, "opponent": text, "reasons": (text,), "movers": moved}
    claims = tuple(claim(outcome, **changes) for outcome in ("FAIL", "INCONCLUSIVE"))
    gate = Gate(outcome="FAIL", baseline=text, claims=claims, notes=(text,), waived=(text,))
    return replace(view, record=view.record.model_copy(update={"gate": gate, "gate_trouble": text}))
