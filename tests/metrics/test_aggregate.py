"""A third party's metric with a number of its own: in the record, on the terminal, in every report and breakdown; what
has no values by item is not paired; and what is wrong with a metric is said with its name."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

import judgekit
import judgekit.statistics
from judgekit.cli.results import print_record
from judgekit.config.blocks import RunConfig
from judgekit.errors import ConfigError, DataError, JudgekitError, PluginError, PreflightError, UsageError
from judgekit.pipeline.measure import aggregated
from judgekit.pipeline.pool import pool
from judgekit.pipeline.run import Run, Settings
from judgekit.plugins import Catalogue, build_manager
from judgekit.regression.baseline import baseline_of, read_baseline, write_baseline
from judgekit.regression.compare import CompareOptions, Side, compare
from judgekit.regression.gate import evaluate
from judgekit.regression.selfcheck import SelfcheckOptions, selfcheck
from judgekit.testing import Parrot, ParrotPlugin
from tables import each

LENGTH = judgekit.Scale(label="characters", low=0, high=100)
MEDIAN = judgekit.Scale(label="median of characters", low=0, high=100)
N = 40


class Lengths(judgekit.Metric):
    """Characters of an answer: their mean and, as a number of its own, their median."""

    series: ClassVar[Mapping[str, judgekit.Scale]] = {"value": LENGTH}

    def rows(self, study):
        for system in study.systems:
            for sample, response in study.responses(system):
                yield judgekit.Row(
                    metric="", system=system, sample_id=sample.id, status="scored", value=float(len(response.text))
                )

    def aggregate(self, tables, terms):
        medians = [self.median(table, system, terms) for (system, _), table in tables["value"].items()]
        return judgekit.Aggregate([*terms.means(tables).estimates, *medians])

    def median(self, table, system, terms, series="median"):
        of = judgekit.statistics.Subject(terms.metric, system, MEDIAN, series)
        return judgekit.statistics.resampled(table, lambda values: float(np.median(values)), of, terms)


class MedianHeadline(Lengths):
    """The median alone, as the headline."""

    def aggregate(self, tables, terms):
        return judgekit.Aggregate(
            [self.median(table, system, terms, "value") for (system, _), table in tables["value"].items()]
        )


class NoHeadline(Lengths):
    """The median alone, and no headline."""

    def aggregate(self, tables, terms):
        return judgekit.Aggregate([self.median(table, system, terms) for (system, _), table in tables["value"].items()])


class Judged(judgekit.Metric):
    """A third party's metric that asks a judge."""

    needs = frozenset({"responses", "score"})
    series: ClassVar[Mapping[str, judgekit.Scale]] = {"value": judgekit.Scale(label="judged", low=0, high=100)}

    def rows(self, study):
        assert study.judge is not None
        for system in study.systems:
            both = list(study.responses(system))
            verdicts = study.judge.score((sample, response.text, 0) for sample, response in both)
            for (sample, _), verdict in zip(both, verdicts, strict=True):
                yield judgekit.Row(
                    metric="", system=system, sample_id=sample.id, status=verdict.status, value=verdict.value,
                    verdicts=(verdict,),
                )  # fmt: skip


class Outside:
    """The plugin."""

    @judgekit.hookimpl
    def judgekit_metrics(self):
        return {"lengths": Lengths, "median": MedianHeadline, "headless": NoHeadline, "judged": Judged}


@pytest.fixture
def here(tmp_path):
    """Items in two categories, and the answers of two systems, of one character up."""
    Parrot.reset()
    items = [
        {"id": f"{n:02}", "instruction": f"Say {n}.", "output": "x", "category": "ab"[n % 2],
         "old": "x" * (1 + n), "new": "x" * (1 + n * 2)}
        for n in range(N)
    ]  # fmt: skip
    (tmp_path / "items.json").write_text(json.dumps(items))
    return tmp_path


def execute(here, kind, plugin=None, **changes):
    tree: dict[str, Any] = {
        "name": "lengths",
        "data": {"path": "items.json"},
        "models": {name: {"backend": "responses", "path": "items.json", "field": name} for name in ("old", "new")},
        "metrics": {"size": {"type": kind}},
        "reports": ["html", "json", "markdown", "junit", "openmetrics"],
        "statistics": {"resamples": 199, "by": ["category"]},
    }
    plugins = ("ci", "datasets", "html", "json", "metrics", "readings", "responses")
    manager = build_manager(only=plugins, extra=[plugin or Outside(), ParrotPlugin()])
    config = RunConfig.model_validate(tree | changes)
    return Run(config, here, manager, Settings(here / "runs", here / "home")).execute()


# --- where it is shown ------------------------------------------------------------------------------------------------


def test_a_median_is_shown_everywhere(here, checkout):
    record = execute(here, "lengths").record
    medians = {one.system: one for one in record.estimates if one.series == "median"}
    assert (medians["old"].value, medians["new"].value) == (20.5, 40.0)
    low, high = medians["old"].interval.low, medians["old"].interval.high
    assert low is not None
    assert high is not None
    assert 10 < low < 20.5 < high < 31
    (breakdown,) = record.breakdowns
    parts = {(one.system, one.group): one.value for one in breakdown.estimates if one.series == "median"}
    assert parts == {("old", "a"): 20.0, ("old", "b"): 21.0, ("new", "a"): 39.0, ("new", "b"): 41.0}
    assert [one.system for one in record.differences] == ["new"]  # the headline is a mean, and is paired as ever
    first, second = execute(here, "lengths").folder, execute(here, "lengths", seed=7).folder
    manager = build_manager(only=("datasets", "metrics", "readings", "responses"), extra=[Outside(), ParrotPlugin()])
    record = pool([first, second], here / "pooled", manager).view().record
    assert [one.value for one in record.estimates if one.series == "median"] == [20.5, 40.0]
    import re
    from types import ModuleType

    example = re.findall(r"```python\n(.*?)```", (checkout / "CONTRIBUTING.md").read_text("utf-8"), re.DOTALL)[1]
    plugin = ModuleType("length")
    exec(compile(example, "CONTRIBUTING.md", "exec"), plugin.__dict__)
    record = execute(here, "length", plugin).record
    assert [one.value for one in record.estimates if one.series == "median"] == [20.5, 40.0]


def test_a_median_is_on_the_terminal_and_in_every_report(here, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    outcome = execute(here, "lengths")
    print_record(outcome.record)
    terminal = capsys.readouterr().out
    assert "size by category" in terminal
    assert "size, median of characters by category" in terminal
    summary = json.loads((outcome.folder.path / "summary.json").read_text())
    assert [one["value"] for one in summary["estimates"] if one["series"] == "median"] == [20.5, 40.0]
    texts = {path.name: path.read_text() for path in outcome.reports}
    shown = [name for name, text in texts.items() if "median" in text]
    assert sorted(shown) == sorted(texts), f"of {list(texts)}"
    assert "20.5" in texts["report.html"]


# --- what is paired by item -------------------------------------------------------------------------------------------


def test_a_limit_is_taken_but_no_margin(here):
    record = execute(here, "median").record
    assert [one.series for one in record.estimates] == ["value", "value"]
    assert record.differences == ()
    assert record.variance_budgets == ()
    view = execute(here, "median").folder.view()
    assert gate(view, min=5) == "PASS"  # the interval of the median of either system is above it
    assert gate(view, max=5) == "FAIL"
    with pytest.raises(ConfigError, match="margin pairs values by item"):
        gate(view, margin=20)
    with pytest.raises(ConfigError, match="no headline"):
        gate(execute(here, "headless").folder.view(), min=5)


@each(("median", "no mean of values by item"), ("headless", "no headline"))
def test_it_is_not_compared_and_that_is_said(kind, why, here):
    view = execute(here, kind).folder.view()
    sides = Side.of("A", view, "old"), Side.of("B", view, "new")
    with pytest.raises(DataError, match=why):
        compare(*sides, CompareOptions())
    with pytest.raises(UsageError, match=why):
        compare(*sides, CompareOptions(metrics=("size",)))
    with pytest.raises(DataError, match="no scored item" if kind == "headless" else why):
        write_baseline(view, here / "baseline.json")


def test_other_metrics_of_the_run_are_compared(here, capsys):
    from judgekit.cli import execute as main

    metrics = {"size": {"type": "median"}, "exact": {"type": "exact_match"}}
    outcome = execute(here, "median", metrics=metrics)
    view = outcome.folder.view()
    comparison = compare(Side.of("A", view, "old"), Side.of("B", view, "new"), CompareOptions())
    assert {one.metric for one in comparison.results} == {"exact"}
    assert any("size has a headline that is no mean" in note for note in comparison.notes)
    capsys.readouterr()
    assert main(["baseline", "set", str(outcome.folder.path), str(here / "baseline.json")]) == 0
    assert "left out: size has a headline that is no mean" in capsys.readouterr().out
    assert set(read_baseline(here / "baseline.json").metrics) == {"exact"}
    assert {one.metric for one in selfcheck(view, SelfcheckOptions(simulations=50))} == {"exact"}


def test_a_margin_on_it_is_refused_before_a_baseline_is_asked_for(here):
    record = execute(here, "median", gate={"baseline": "none.json", "size": 5}).record
    assert "give it a min or a max" in record.gate_trouble


def gate(view, **rule):
    from judgekit.config.blocks import GateConfig
    from judgekit.regression.rules import Reference

    config = GateConfig.model_validate({"baseline": "b", "size": rule})
    return evaluate(view, config, Reference(baseline_of(view))).outcome


def test_missing_verdicts_hold_back_a_limit_that_is_no_mean(here):
    class Gaps(MedianHeadline):
        def rows(self, study):
            for row in super().rows(study):
                gone = row.sample_id == "00"
                yield row.model_copy(update={"value": None, "status": "unparsed"}) if gone else row

    class Plugin:
        @judgekit.hookimpl
        def judgekit_metrics(self):
            return {"gaps": Gaps}

    view = execute(here, "gaps", Plugin()).folder.view()
    assert gate(view, min=5) == "INCONCLUSIVE"
    assert gate(view, max=5) == "INCONCLUSIVE"


# --- judges -----------------------------------------------------------------------------------------------------------


def judged(here, **changes):
    judges = {"main": {"backend": "parrot", "prompt": "score/book", "control_items": 0, "answers": {"Say": "70"}}}
    return execute(here, "judged", judges=judges, **changes)


def test_a_failed_judge_of_a_third_partys_metric_blocks_its_gate(here):
    from dataclasses import replace

    from judgekit.results import Check, JudgeCard

    view = judged(here).folder.view()
    assert view.record.metric_judges == {"size": "main"}
    assert gate(view, min=5) == "PASS" if view.record.estimates[0].interval.low is not None else "INCONCLUSIVE"
    check = Check(name="gold", label="gold", value=0.0, passed=False)
    card = JudgeCard(judge="main", backend="parrot", prompt="p", reading="integer", checks=(check,), passed=False)
    for judges in ({"size": "main"}, None):  # None: a record made before it was written down
        record = view.record.model_copy(update={"cards": (card,), "metric_judges": judges})
        assert gate(replace(view, record=record), min=5) == "INCONCLUSIVE"


def test_an_older_record_tells_its_judges_by_its_prompts(here):
    metrics = {"size": {"type": "judged"}, "exact": {"type": "exact_match"}}
    record = judged(here, metrics=metrics).record
    older = record.model_copy(update={"metric_judges": None})
    assert [older.judge_of(name) for name in metrics] == [record.judge_of(name) for name in metrics] == ["main", None]


# --- what is wrong with a metric --------------------------------------------------------------------------------------


def terms():
    return judgekit.AggregateTerms(metric="size", series={"value": LENGTH}, samples=(), systems=("a",), anchor="a")


def table():
    values = judgekit.statistics.ItemTable()
    for item in range(20):
        values.add(str(item), 0, 0, float(item))
    return values


def estimate(**changes):
    (made,) = judgekit.statistics.estimate(table(), judgekit.statistics.Subject("size", "a", LENGTH), terms())
    return made.model_copy(update=changes)


def statistic(**changes):
    plain = judgekit.statistics.Statistic(metric="size", system="a", name="n", label="n", value=1.0)
    return plain.model_copy(update=changes)


@each(
    (lambda: 1 / 0, "failed in aggregate: ZeroDivisionError"),
    (lambda: exit(0), "failed in aggregate: SystemExit"),
    (lambda: None, "returned NoneType"),
    (lambda: judgekit.Aggregate([estimate(value=101.0)]), "value of a = 101.0 is off its scale"),
    (lambda: judgekit.Aggregate([estimate(value=float("nan"))]), "nan is off its scale"),
    (lambda: judgekit.Aggregate([estimate(value=float("inf"))]), "inf is off its scale"),
    (lambda: judgekit.Aggregate([estimate(se=float("nan"))]), "standard error nan"),
    (
        lambda: judgekit.Aggregate([estimate(interval=estimate().interval.model_copy(update={"low": -5.0}))]),
        "-5.0 is off its scale",
    ),
    (lambda: judgekit.Aggregate([estimate(metric="other")]), "number of the metric 'other'"),
    (lambda: judgekit.Aggregate([], [statistic(metric="other")]), "number of the metric 'other'"),
    (lambda: judgekit.Aggregate([], [statistic(value=float("inf"))]), "n of a is inf"),
    (lambda: judgekit.Aggregate([estimate(confidence=0.5)]), "has the confidence 0.5"),
    (lambda: judgekit.Aggregate([estimate(scale=LENGTH.model_copy(update={"high": 1e6}))]), "on another scale"),
    (lambda: judgekit.Aggregate([estimate(system="ghost")]), "there are no rows of ghost"),
    (lambda: judgekit.Aggregate([estimate(), estimate()]), "is there twice"),
    (lambda: judgekit.Aggregate([1.0]), "returned float among"),  # type: ignore[list-item]
)
def test_nonsense_is_an_error_that_names_the_metric(made, why):
    class Wrong(Lengths):
        def aggregate(self, tables, terms):
            return made()

    with pytest.raises(PluginError, match=why) as caught:
        aggregated(Wrong(), {"value": {("a", ""): table()}}, terms(), "wrong")
    assert str(caught.value).startswith("metric 'size' (type 'wrong', of ")


def test_wrong_aggregates_pass_our_errors_or_are_refused():
    class Wrong(Lengths):
        def aggregate(self, tables, terms):
            raise DataError("the word list is empty")

    with pytest.raises(JudgekitError, match="the word list is empty"):
        aggregated(Wrong(), {}, terms(), "wrong")

    class Old(Lengths):
        derived: Sequence[str] = ("perplexity",)

    class Plugin:
        @judgekit.hookimpl
        def judgekit_metrics(self):
            return {"old": Old}

    manager = build_manager(only=())
    manager.register(Plugin(), "outside")
    with pytest.raises(PluginError, match=r"plugin 'outside': the metric 'old' .* write `aggregate\(self") as caught:
        Catalogue(manager)
    assert "\n" not in str(caught.value)


def test_an_aggregate_that_takes_something_else_is_found_before_any_call(here):
    class Wrong(Judged):
        def aggregate(self, tables):  # type: ignore[override]
            return None

    class Plugin:
        @judgekit.hookimpl
        def judgekit_metrics(self):
            return {"wrong": Wrong}

    judges = {"main": {"backend": "parrot", "prompt": "score/book", "control_items": 0}}
    with pytest.raises(PreflightError, match=r"must take \(tables, terms\)"):
        execute(here, "wrong", Plugin(), judges=judges)
    assert Parrot.history == []
