"""Every metric by the groups of a field: in the record, on the terminal, in the summary and in the report."""

import json

import pytest

from judgekit.cli.breakdowns import breakdown_tables
from judgekit.config.blocks import RunConfig
from judgekit.errors import PreflightError
from judgekit.pipeline.run import Run, Settings
from judgekit.plugins import build_manager
from judgekit.records import VERDICT_STATUSES, Scale
from judgekit.run_folder import RunFolder
from judgekit.statistics.estimates import Subject, difference, estimate
from judgekit.statistics.items import ItemTable

SUBJECTS = 57


def items(subjects, each=4):
    """Of every subject `each` items; one of them alone is of the subject "rare", some have no difficulty."""
    found = [
        {
            "id": f"i{number}",
            "instruction": f"Question {number}.",
            "output": f"answer {number}",
            "category": f"subject {number % subjects:02d}",
            **({"difficulty": ("easy", "hard")[number % 2]} if number % 3 else {}),
            "one": f"answer {number}" if number % 4 else "no",
            "two": f"answer {number}" if number % 5 == 0 else "nothing at all",
        }
        for number in range(subjects * each)
    ]
    return [*found, {**found[0], "id": "rare", "instruction": "Rare?", "category": "rare"}]


def config(**changes):
    tree = {
        "name": "groups",
        "data": {"path": "items.json"},
        "models": {name: {"backend": "responses", "path": "items.json", "field": name} for name in ("one", "two")},
        "metrics": {"exact": {"type": "exact_match"}, "f1": {"type": "f1"}},
        "reports": ["json"],
        "statistics": {"resamples": 99, "by": ["category", "metadata.difficulty"]},
    }
    return RunConfig.model_validate(tree | changes)


@pytest.fixture
def here(tmp_path):
    (tmp_path / "items.json").write_text(json.dumps(items(3)))
    return tmp_path


@pytest.fixture
def execute(here):
    def run(spec=None):
        manager = build_manager(only=("datasets", "json", "html", "metrics", "readings", "responses"))
        return Run(spec or config(), here, manager, Settings(output=here / "runs", home=here / "home")).execute()

    return run


def test_every_metric_has_an_estimate_a_group_and_system(execute):
    record = execute().record
    category, difficulty = record.breakdowns
    assert [(group.name, group.n_samples) for group in category.groups] == [
        ("rare", 1), ("subject 00", 4), ("subject 01", 4), ("subject 02", 4),
    ]  # fmt: skip
    assert [group.name for group in difficulty.groups] == ["easy", "hard", "(none)"]
    assert sum(group.n_samples for group in difficulty.groups) == record.n_samples == 13
    keys = {(one.metric, one.system, one.group) for one in category.estimates}
    assert len(keys) == len(category.estimates) == 2 * 2 * 4
    assert {(one.metric, one.system, one.against) for one in category.differences} == {
        ("exact", "two", "one"), ("f1", "two", "one"),
    }  # fmt: skip


def test_the_parts_make_the_whole(execute):
    record = execute().record
    whole = {(one.metric, one.system): one for one in record.estimates}
    for breakdown in record.breakdowns:
        for (metric, system), one in whole.items():
            parts = [e for e in breakdown.estimates if (e.metric, e.system) == (metric, system)]
            assert sum(part.n_items for part in parts) == one.n_items
            total = sum((part.value or 0.0) * part.n_items for part in parts) / one.n_items
            assert total == pytest.approx(one.value)


def test_a_group_of_one_item_has_a_value_and_no_interval(execute):
    found = [one for one in execute().record.breakdowns[0].estimates if one.group == "rare"]
    assert found
    for one in found:
        assert one.value is not None
        assert (one.interval.low, one.interval.note) == (None, "one item has no interval")


def test_a_part_of_a_table_is_the_table_of_its_samples():
    whole, alone = ItemTable(), ItemTable()
    for number in range(30):
        value = None if number % 7 == 0 else (number * 37 % 11) / 10
        for repeat in range(2):
            row = (f"s{number}", repeat, 0, value, "scored" if value is not None else VERDICT_STATUSES[number % 5 + 1])
            whole.add(*row)
            if number % 3 == 0:
                alone.add(*row)
    ids = [f"s{number}" for number in range(0, 30, 3)]
    part = whole.part([*reversed(ids), "unknown"])
    of = Subject("m", "a", Scale(label="x", low=0, high=1))
    assert estimate(part, of) == estimate(alone, of)
    assert part.counts == alone.counts
    assert part.ids == alone.ids == sorted(ids)
    assert difference(part, alone, of, "b").value == 0
    assert len(whole.part([])) == 0


def test_a_field_that_is_nowhere_is_an_error_before_any_call(execute):
    with pytest.raises(
        PreflightError, match=r"statistics.by: no sample has a field 'dificulty'; did you mean 'difficulty'"
    ):
        execute(config(statistics={"by": ["dificulty"]}))


def test_a_cluster_field_that_some_lack_is_an_error_before_any_call(execute):
    with pytest.raises(PreflightError, match=r"statistics.cluster: 5 of 13 samples have no 'difficulty'"):
        execute(config(statistics={"cluster": "difficulty"}))


def test_clusters_are_those_of_any_field(here, execute):
    many = [{**item, "page": number // 2} for number, item in enumerate(items(6))]
    (here / "items.json").write_text(json.dumps(many))
    record = execute(config(statistics={"cluster": "page", "by": "page", "resamples": 99})).record
    assert {one.n_clusters for one in record.estimates} == {13}
    assert record.estimates[0].interval.method == "cluster_t"
    (breakdown,) = record.breakdowns
    assert {one.n_clusters for one in breakdown.estimates} == {None}, "within one cluster there are no clusters"


def test_by_is_one_name_or_a_list_without_doubles():
    assert config(statistics={"by": "category"}).statistics.by == ("category",)
    with pytest.raises(ValueError, match="'category' is named twice"):
        config(statistics={"by": ["category", "category"]})


def test_equal_work_gives_equal_bytes(execute):
    outcome = execute()
    record = (outcome.folder.path / "record.json").read_bytes()
    execute()
    assert (outcome.folder.path / "record.json").read_bytes() == record
    assert outcome.folder.view().record == outcome.record


def test_an_older_record_has_no_breakdown(execute):
    outcome = execute(config(statistics={"resamples": 99}))
    path = outcome.folder.path / "record.json"
    tree = json.loads(path.read_text())
    del tree["breakdowns"]
    for one in tree["estimates"]:
        del one["group"]
    path.write_text(json.dumps(tree))
    assert RunFolder(outcome.folder.path).view().record == outcome.record


def test_the_summary_has_every_group(execute):
    tree = json.loads((execute().folder.path / "summary.json").read_text())
    category = tree["breakdowns"][0]
    assert category["field"] == "category"
    assert category["groups"][0] == {"name": "rare", "n_samples": 1}
    one = next(one for one in category["estimates"] if one["group"] == "subject 01")
    assert {"low", "high", "n_items", "scored", "unparsed", "note"} <= one.keys()
    assert category["differences"][0]["against"] == "one"
    assert all(one["group"] is None for one in tree["estimates"])


def test_the_terminal_shows_a_line_a_group_and_a_column_a_system(execute):
    tables = list(breakdown_tables(execute().record))
    title, columns, lines = tables[0]
    assert title.startswith("exact by category: 4 groups;")
    assert columns == ("category", "items", "one", "two", "two − one")
    assert lines[0][:2] == ("rare", "1")
    assert lines[0][2].endswith("(one item has no interval)")
    assert len(tables) == 4


def test_of_many_groups_the_terminal_shows_both_ends(here, execute):
    (here / "items.json").write_text(json.dumps(items(SUBJECTS)))
    title, _, lines = next(breakdown_tables(execute().record))
    assert "58 groups, the lowest and the highest of one" in title
    assert len(lines) == 21
    assert lines[10][0] == "… 38 others, in the reports"


def test_the_report_has_a_chart_and_a_table_of_57_subjects(here, execute):
    (here / "items.json").write_text(json.dumps(items(SUBJECTS)))
    outcome = execute(config(reports=["html"]))
    page = (outcome.folder.path / "report.html").read_text()
    section = page.split('<section id="groups"')[1].split("</section>")[0]
    assert section.count("<figure>") == 4
    assert section.count("<img") == 4
    assert section.count("subject 33") >= 6
    assert "Each interval is for its group alone" in section
    assert '<a href="#groups">Groups</a>' in page


def test_a_report_without_breakdowns_has_no_such_section(execute):
    page = (execute(config(reports=["html"], statistics={"resamples": 99})).folder.path / "report.html").read_text()
    assert 'id="groups"' not in page
