"""`judgekit agreement`: a judge's verdicts beside people's labels, or beside another judge's."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from judgekit.agreement.agreement import Terms, of_two, response_notes, with_labels
from judgekit.agreement.labels import read_labels
from judgekit.agreement.matching import choose_metric, measured
from judgekit.cli.console import printable
from judgekit.cli.options import as_json
from judgekit.cli.tables import interval, number, print_table
from judgekit.errors import UsageError
from judgekit.run_folder import RunFolder
from judgekit.text import counted

if TYPE_CHECKING:
    from judgekit.results import Agreement, AgreementMeasure, Calibration, Corrected, Interval, RunRecord

SHARES = ("agreement", "agreement_no_ties", "majority")
POINTS = ("bias", "mae")


def _ends(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[float, float] | None:
    """The two numbers of LOW..HIGH."""
    if value is None:
        return None
    low, _, high = value.partition("..")
    try:
        ends = float(low), float(high)
    except ValueError:
        ends = (0.0, 0.0)
    if not -math.inf < ends[0] < ends[1] < math.inf:
        raise click.BadParameter(f"{value!r} is no scale: write it from low to high, as 1..5")
    return ends


@click.command("agreement")
@click.argument("runs", nargs=-1, required=True, metavar="RUN [RUN]", type=click.Path(path_type=Path))
@click.option("--labels", type=click.Path(path_type=Path), help="File of people's labels: CSV, JSON or JSONL.")
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME", help="Metric; with two runs, may be given for each."
)
@click.option("--system", metavar="NAME", help="Only the responses of this system.")
@click.option("--threshold", type=float, help="For yes/no labels: the score from which the judge says yes.")
@click.option(
    "--label-scale",
    callback=_ends,
    metavar="LOW..HIGH",
    help="The scale that the labels were given on, if not the metric's.",
)
@click.option("--correct", is_flag=True, help="The mean over all items, the judge corrected by the labels (PPI++).")
@click.option("--confidence", type=click.FloatRange(0.5, 1, min_open=True, max_open=True), help="Default: the run's.")
@as_json
def command(
    runs: tuple[Path, ...],
    labels: Path | None,
    metrics: tuple[str, ...],
    system: str | None,
    threshold: float | None,
    label_scale: tuple[float, float] | None,
    correct: bool,
    confidence: float | None,
    as_json: bool,
) -> None:
    """Compare the verdicts of RUN (a folder runs/<id>) with people's labels, or with another run's, by item.

    Labels are rows of: id, label (a score, yes/no, or the winner's name), and, where they are needed, system, repeat
    and labeller. Nothing is asked of any model.
    """
    _check_usage(runs, labels, metrics, label_scale, correct)
    views = [RunFolder(run).view() for run in runs]
    settings = _statistics(views[0].record)
    terms = Terms(
        system=system,
        threshold=threshold,
        label_scale=label_scale,
        correct=correct,
        confidence=confidence or settings["confidence"],
        seed=settings["seed"],
    )
    result = _two(views, metrics, terms) if labels is None else _labelled(views[0], labels, metrics, terms)
    if as_json:
        click.echo(json.dumps(result.model_dump(mode="json"), indent=1))
    else:
        print_agreement(result)


def _check_usage(
    runs: tuple[Path, ...],
    labels: Path | None,
    metrics: tuple[str, ...],
    label_scale: tuple[float, float] | None,
    correct: bool,
) -> None:
    if labels is None and len(runs) != 2:
        raise UsageError("compare one run with labels (--labels FILE), or two runs with each other")
    if labels is not None and len(runs) != 1:
        raise UsageError("labels are for one run: name one run, or leave out --labels")
    if labels is None and (correct or label_scale):
        raise UsageError("--correct and --label-scale are about labels: add --labels FILE")
    if len(metrics) > len(runs):
        raise UsageError("--metric: one for each run at most")


def _labelled(view: Any, labels: Path, metrics: tuple[str, ...], terms: Terms) -> Agreement:
    file = read_labels(labels)
    metric = choose_metric(view.record, metrics[0] if metrics else None)
    return with_labels(measured(view.record, view.rows, metric), file, terms)


def _two(views: list[Any], metrics: tuple[str, ...], terms: Terms) -> Agreement:
    wanted = metrics if len(metrics) == 2 else metrics * 2 or (None, None)
    names = [choose_metric(view.record, metric) for view, metric in zip(views, wanted, strict=True)]
    if views[0].record.run_id == views[1].record.run_id and names[0] == names[1]:
        raise UsageError("that is one metric of one run: it agrees with itself")
    first, second = (measured(v.record, v.rows, metric) for v, metric in zip(views, names, strict=True))
    return of_two(first, second, terms, response_notes(*views))


def _statistics(record: RunRecord) -> dict[str, Any]:
    confidence = record.part("statistics").get("confidence")
    seed = record.spec.get("seed")
    return {
        "confidence": confidence if isinstance(confidence, float) else 0.95,
        "seed": seed if isinstance(seed, int) else 0,
    }


# --- what is printed -------------------------------------------------------------------------------------------------


def print_agreement(agreement: Agreement) -> None:
    """One agreement as a table, with its notes."""
    title = f"{agreement.metric}: {agreement.first} and {agreement.second}, {_counted(agreement)}"
    ceilings = {figure.name: figure for figure in agreement.ceiling}
    columns = ["", "value", f"{100 * agreement.confidence:g} % interval, items resampled", "note"]
    if ceilings:
        columns[3:3] = ["between labellers", f"{100 * agreement.confidence:g} % interval"]
    rows = []
    for figure in agreement.figures:
        row = [figure.label, *_cells(figure, agreement)]
        if ceilings:
            other = ceilings.get(figure.name)
            row += _cells(other, agreement) if other else ["", ""]
        rows.append([*row, _note(figure, agreement)])
    print_table(title, columns, rows)
    if agreement.calibration:
        _print_calibration(agreement)
    if agreement.corrected:
        _print_corrected(agreement)
    for note in agreement.notes:
        click.echo(f"note: {printable(note)}")


def _counted(agreement: Agreement) -> str:
    people = f" by {agreement.labellers} labellers" if agreement.labellers > 1 else ""
    items = f" on {counted(agreement.n_items, 'item')}" if agreement.n_items != agreement.n_pairs else ""
    return f"{counted(agreement.n_pairs, 'label' if people else 'response')}{people}{items}"


def _note(figure: AgreementMeasure, agreement: Agreement) -> str:
    if figure.wilson is not None:
        note = f"Wilson {_interval(figure.wilson, figure, agreement)}"
        return note + (f", {counted(figure.n_items, 'item')}" if figure.n_items != agreement.n_items else "")
    return figure.note


def _cells(figure: AgreementMeasure, agreement: Agreement) -> list[str]:
    return [_number(figure.value, figure.name, agreement), _interval(figure.interval, figure, agreement)]


def _number(value: float | None, name: str, agreement: Agreement) -> str:
    """Shares in percent, differences in points of the scale, coefficients with three decimals."""
    if value is None:
        return "–"
    if name in SHARES:
        return f"{100 * value:.1f} %"
    if name in POINTS:
        return number(value, agreement.scale, signed=name == "bias")
    return f"{value:.3f}"


def _interval(interval: Interval, figure: AgreementMeasure, agreement: Agreement) -> str:
    if interval.low is None or interval.high is None:
        return interval.note
    return f"[{_number(interval.low, figure.name, agreement)}, {_number(interval.high, figure.name, agreement)}]"


def _print_calibration(agreement: Agreement) -> None:
    def row(one: Calibration) -> tuple[str, ...]:
        values = dict.fromkeys(number(end, agreement.scale) for end in (one.low, one.high))
        return (
            " – ".join(values),
            str(one.n_pairs),
            number(one.judge, agreement.scale),
            number(one.label, agreement.scale),
            interval(one.interval, agreement.scale),
        )

    ends = f"{100 * agreement.confidence:g} % interval"
    columns = ("judge's value", "responses", "its mean there", "the labels' mean", ends)
    print_table(
        f"{agreement.metric}: what the judge's values are worth", columns, [row(one) for one in agreement.calibration]
    )


def _print_corrected(agreement: Agreement) -> None:
    means = ("corrected mean", "interval", "the judge alone", "the labels alone")
    columns = ("system", *means, "labels", "others", "judge's weight")
    title = f"{agreement.metric}: mean over all items, the judge corrected by the labels (PPI++)"
    print_table(title, columns, [_corrected_row(row, agreement) for row in agreement.corrected])


def _corrected_row(row: Corrected, agreement: Agreement) -> tuple[str, ...]:
    def ends(estimated: Interval) -> str:
        return f"({estimated.note})" if estimated.low is None else interval(estimated, agreement.scale)

    return (
        row.system,
        number(row.value, agreement.scale),
        ends(row.interval),
        f"{number(row.judge_mean, agreement.scale)} {ends(row.judge_only)}",
        f"{number(row.labels_mean, agreement.scale)} {ends(row.labels_only)}",
        str(row.n_labels),
        str(row.n_unlabelled),
        f"{row.weight:.2f}" if row.weight is not None else "–",
    )
