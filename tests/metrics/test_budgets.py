"""What a report says of the variance of its means, and of the runs that it pools."""

from judgekit.records import Scale
from judgekit.results import PooledRun, VarianceBudget
from judgekit_html import report
from judgekit_metrics.budgets import sections
from sample_run import HOSTILE, sample_run
from sinks import each_of

SCORE = Scale(label="score", low=0, high=100)
RATE = Scale(label="win rate", low=0, high=1, unit="%")


def budget(system="sft", *, generation=0.5, judge=None, scale=SCORE, item=1.5, opponent=None):
    return VarianceBudget(
        metric="quality", system=system, opponent=opponent, scale=scale, item=item, generation=generation,
        judge=judge, n_items=40, generations=3, judgements=1, advice=f"Buy items for {system}.",
    )  # fmt: skip


def view(*budgets, pooled=()):
    return sample_run(4, 1, variance_budgets=budgets, pooled=pooled)


def test_sections_have_parts_advice_or_nothing():
    (section,) = sections(view(budget(), budget("base", generation=None, opponent="sft")))
    assert section.place == "judges"
    assert section.sentence.endswith("quality, sft: Buy items for sft.")
    assert [list(row) for row in section.table.rows] == [
        ["quality, sft", "1.41", "75%", "25%", "–", "40 × 3 × 1", "Buy items for sft."],
        ["quality, base against sft", "1.22", "100%", "–", "–", "40 × 3 × 1", "Buy items for base."],
    ]
    drawn = section.chart["data"]["values"]
    assert [(value["part"], value["share"]) for value in drawn] == [("items", 0.75), ("generation", 0.25)]
    (section,) = sections(view(*[budget(f"s{number}") for number in range(5)]))
    assert "Buy items for s1." in section.sentence
    assert "Buy items for s2." not in section.sentence
    assert len(section.table.rows) == 5
    (section,) = sections(view(budget(scale=RATE, item=0.0001, generation=0.0)))
    assert section.table.rows[0][1] == "1 points"
    (section,) = sections(view(budget(item=0.0, generation=0.0)))
    assert list(section.table.rows[0])[2:5] == ["–", "–", "–"]
    (section,) = sections(view(budget(generation=None)))
    assert section.chart is None
    assert "answered and judged once" in section.sentence
    runs = (PooledRun(run_id="run-a", seed=3, repeats=(0,)), PooledRun(run_id="run-b", seed=7, repeats=()))
    (section,) = sections(view(pooled=runs))
    assert "2 runs" in section.sentence
    assert [list(row) for row in section.table.rows] == [["run-a", "3", "1"], ["run-b", "7", "none"]]
    assert list(sections(view())) == []


def test_hostile_names_are_drawn_and_escaped():
    def is_escaped(name):
        run = view(budget(name), pooled=(PooledRun(run_id=name, seed=0, repeats=(0,)),))
        (page,) = report(run, sections(run)).values()
        assert name.encode("utf-8", "surrogatepass") not in page or "<" not in name

    each_of(HOSTILE, is_escaped)
