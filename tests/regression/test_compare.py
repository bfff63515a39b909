"""Two runs, or two systems of one, item by item: what is compared, what is said, and what is refused."""

import json
import re

import pytest

from gate_folders import ERRORS, a_run, drawn, moved, samples_of
from judgekit.cli import execute
from judgekit.errors import ConfigError, DataError, UsageError
from judgekit.regression.compare import CompareOptions, Side, compare
from judgekit.run_folder import RunFolder

BASE = drawn(120, 1)
WORSE = ERRORS.model_copy(update={"high": 100})


def compared(first, second, systems=(None, None), **terms):
    views = [RunFolder(path).view() for path in (first, second)]
    if first == second:
        views[1] = views[0]
    sides = [Side.of(name, view, system) for name, view, system in zip("AB", views, systems, strict=True)]
    return compare(*sides, CompareOptions(resamples=199, **terms))


def run_of(tmp_path, name, scores, **changes):
    return a_run(tmp_path / name, {"quality": {"sft": scores}}, **changes)


def test_the_difference_is_the_second_less_the_first_on_the_same_items(tmp_path):
    new = moved(BASE, 4, 2)
    found = compared(run_of(tmp_path, "a", BASE), run_of(tmp_path, "b", new), by=None)
    (result,) = found.results
    assert result.difference.value == pytest.approx(sum(b - a for a, b in zip(BASE, new, strict=True)) / 120)
    assert result.difference.interval.method == "paired_t+plus_two"
    assert result.difference.interval.low < 4 < result.difference.interval.high
    assert result.better + result.worse + result.equal == 120
    assert result.better > result.worse
    half = (result.difference.interval.high - result.difference.interval.low) / 2
    assert result.detectable == pytest.approx(half * (1.98 + 0.8416) / 1.98, rel=0.15)
    assert found.notes == ()


def test_each_category_has_its_own_row(tmp_path):
    new = [score + (6 if i % 2 else -6) for i, score in enumerate(moved(BASE, 0, 2))]
    new = [min(max(score, 0), 100) for score in new]
    found = compared(run_of(tmp_path, "a", BASE), run_of(tmp_path, "b", new))
    by_group = {result.group: result for result in found.results}
    assert list(by_group) == [None, "kind 0", "kind 1"]
    assert by_group["kind 0"].difference.n_items == by_group["kind 1"].difference.n_items == 60
    assert by_group["kind 0"].difference.interval.high < 0 < by_group["kind 1"].difference.interval.low


def test_the_biggest_movers_come_with_their_texts(tmp_path):
    new = list(BASE)
    new[7], new[9] = 0.0, 100.0
    (result, *_) = compared(run_of(tmp_path, "a", BASE), run_of(tmp_path, "b", new), movers=1).results
    down, up = result.movers
    assert (down.sample_id, down.first, down.second) == ("s007", BASE[7], 0.0)
    assert (up.sample_id, up.second) == ("s009", 100.0)
    assert (up.instruction, up.reference) == ("Question 9?", "Answer 9.")
    assert up.first_response == up.second_response == "sft says s009"
    assert compared(tmp_path / "a", tmp_path / "b", movers=0).results[0].movers == ()


def test_less_may_be_better(tmp_path):
    old = [score / 20 for score in BASE]
    scales = {"quality": ERRORS}
    a = run_of(tmp_path, "a", old, scales=scales)
    b = run_of(tmp_path, "b", moved(old, -0.5, 3, sd=0.3, high=10), scales=scales)
    (result, *_) = compared(a, b).results
    assert result.difference.value < 0
    assert result.better > result.worse
    assert result.movers[0].change > 0  # the worse ones come first


def test_two_systems_of_one_run(tmp_path):
    run = a_run(tmp_path / "run", {"quality": {"base": BASE, "sft": moved(BASE, 5, 2)}})
    (result, *_) = compared(run, run, ("base", "sft")).results
    assert (result.first, result.second) == ("base", "sft")
    assert result.difference.value == pytest.approx(5, abs=0.5)
    assert result.movers[0].first_response.startswith("base says")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompts": {"score/grade": "c" * 64}}, "prompt score/grade"),
        ({"identities": {"judges.main": {"model": "llama4", "digest": "a" * 64}}}, "judge's model: llama3"),
        ({"scales": {"quality": WORSE}}, "scale: 0 … 100 in the first run, 0 … 100, less"),
    ],
)  # fmt: skip
def test_another_instrument_is_refused_and_named(tmp_path, changes, message):
    with pytest.raises(UsageError, match="two different instruments") as caught:
        compared(run_of(tmp_path, "a", BASE), run_of(tmp_path, "b", BASE, **changes))
    assert message in str(caught.value)


def test_other_samples_are_said_and_left_out(tmp_path):
    changed = samples_of(120)
    changed[3] = changed[3].model_copy(update={"instruction": "Another question?"})
    new = moved(BASE, 2, 2)
    found = compared(run_of(tmp_path, "a", BASE), run_of(tmp_path, "b", new, samples=changed), by=None)
    assert found.results[0].difference.n_items == 119
    assert "1 of them changed under the same id; compared on the 119" in found.notes[0]
    found = compared(run_of(tmp_path, "c", BASE), run_of(tmp_path, "d", BASE[:50]), by=None)
    assert found.results[0].difference.n_items == 50
    assert "120 samples in the first run, 50 in the second, 50 in both" in found.notes[0]


def test_runs_without_a_common_sample_metric_or_system_are_refused(tmp_path):
    others = [sample.model_copy(update={"id": f"x{sample.id}"}) for sample in samples_of(120)]
    a = run_of(tmp_path, "a", BASE)
    with pytest.raises(DataError, match="no sample in common"):
        compared(a, run_of(tmp_path, "b", BASE, samples=others))
    with pytest.raises(DataError, match="no metric in common"):
        compared(a, a_run(tmp_path / "c", {"exact": {"sft": BASE}}))
    two = a_run(tmp_path / "d", {"quality": {"x": BASE, "y": BASE}})
    with pytest.raises(UsageError, match="no system is in both runs"):
        compared(a, two)
    assert compared(a, two, ("sft", "y")).results[0].second == "y"
    with pytest.raises(ConfigError, match="did you mean 'quality'"):
        compared(a, two, metrics=("qualty",))
    with pytest.raises(ConfigError, match="no system 'z'"):
        compared(a, two, ("sft", "z"))


def test_runs_are_matched_by_id_and_an_incomplete_one_is_said(tmp_path):
    backwards = list(reversed(samples_of(120)))
    found = compared(run_of(tmp_path, "a", BASE), run_of(tmp_path, "b", BASE, samples=backwards, status="incomplete"))
    assert (found.results[0].difference.value, found.results[0].equal) == (0, 120)
    assert "b is incomplete" in found.notes[0]


def test_missing_verdicts_are_counted_and_bounded(tmp_path):
    holes = [None if i < 10 else score for i, score in enumerate(BASE)]
    (result, *_) = compared(run_of(tmp_path, "a", BASE), run_of(tmp_path, "b", holes)).results
    assert result.difference.n_items == 110
    assert result.difference.counts["unparsed"] == 10
    assert result.difference.bounds[0] < 0 < result.difference.bounds[1]


@pytest.mark.parametrize(("scores", "note"), [([50.0], "one item"), ([None, None], "no scored item")])
def test_thin_data_have_no_interval_and_no_least_difference(tmp_path, scores, note):
    (result, *_) = compared(run_of(tmp_path, "a", scores), run_of(tmp_path, "b", scores)).results
    assert result.difference.interval.low is None
    assert note in result.difference.interval.note
    assert result.detectable is None


# --- as it is typed ---------------------------------------------------------------------------------------------------


def said(capsys, *words):
    code = execute(["compare", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_table_and_the_movers_are_printed(tmp_path, capsys):
    a, b = run_of(tmp_path, "a", BASE), run_of(tmp_path, "b", moved(BASE, -5, 2))
    code, out, err = said(capsys, a, b / "record.json", "--movers", "1")
    assert (code, err) == (0, "")
    for expected in ("B: b", "A: a", "-5.0", "worse", "kind 0", "power of 80 %", "Question", "sft says"):
        assert expected in out


def test_json_is_whole(tmp_path, capsys):
    a, b = run_of(tmp_path, "a", BASE), run_of(tmp_path, "b", moved(BASE, -5, 2))
    code, out, _ = said(capsys, a, b, "--json")
    tree = json.loads(out, parse_constant=pytest.fail)
    assert code == 0
    assert tree["results"][0].keys() >= {"metric", "group", "first", "second", "difference", "detectable", "movers"}
    assert tree["results"][0].keys() >= {"better", "worse", "equal"}


def test_hostile_texts_stay_texts(tmp_path, capsys):
    bad = [
        sample.model_copy(update={"instruction": "\x1b[2J\x1b]0;owned\x07 \u202egnp.exe\nnext"})
        for sample in samples_of(120)
    ]
    a, b = run_of(tmp_path, "a", BASE, samples=bad), run_of(tmp_path, "b", moved(BASE, -5, 2), samples=bad)
    code, out, _ = said(capsys, a, b)
    assert code == 0
    assert "\\x1b[2J" in out
    for character in ("\x1b", "\x07", "\u202e"):
        assert character not in out


def test_no_text_is_a_command_of_a_ci_system(tmp_path, capsys, monkeypatch):
    orders = "::add-mask::a", "##[add-matcher]x.json", "##vso[task.setvariable variable=a]b"
    bad = [sample.model_copy(update={"category": orders[n % 3], "instruction": orders[n % 3]})
           for n, sample in enumerate(samples_of(120))]  # fmt: skip
    a, b = run_of(tmp_path, "a", BASE, samples=bad), run_of(tmp_path, "b", moved(BASE, -5, 2), samples=bad)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    code, out, err = said(capsys, a, b)
    assert code == 0
    assert ": :add-mask: :a" in out
    assert not re.search(r"::|##\w*\[", out + err)


@pytest.mark.parametrize(
    ("file", "content", "said_of_it"),
    [
        ("rows.jsonl", b'{"metric": "quality", "system": "sft", "sample_id": "s0", "status": "scored", "value": NaN}\n',
         "rows.jsonl:1: damaged: value: input should be a finite number"),
        ("rows.jsonl", b"\xff\n", "rows.jsonl: damaged: 'ascii' codec"),
        ("rows.jsonl", b"[" * 100_000, "rows.jsonl:1: damaged: "),
        ("samples.jsonl", b'{"id": 3}\n', "samples.jsonl:1: damaged: id: "),
        ("record.json", b"[1]", "record.json: damaged: input should be a valid dictionary"),
        ("record.json", b"{", "record.json: damaged: Expecting property name"),
        ("record.json", b'{"schema_version": 99}', "record.json: written by a newer judgekit (schema 99)"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_named_in_one_line(tmp_path, capsys, file, content, said_of_it):
    a, b = run_of(tmp_path, "a", BASE), run_of(tmp_path, "b", BASE)
    (b / file).write_bytes(content)
    code, out, err = said(capsys, a, b)
    assert (code, out, len(err.splitlines())) == (2 if file == "record.json" else 6, "", 1), err
    assert said_of_it in err


def test_a_field_that_no_sample_has_is_said(tmp_path, capsys):
    a, b = run_of(tmp_path, "a", BASE), run_of(tmp_path, "b", moved(BASE, -5, 2))
    code, out, _ = said(capsys, a, b, "--by", "nosuch")
    assert code == 0
    assert "no sample has the field 'nosuch'" in out


def test_wrong_usage_is_2(tmp_path, capsys):
    a = run_of(tmp_path, "a", BASE)
    for words in (
        (a,),
        (a, a),
        (a, a, a),
        (a, "--system", "sft"),
        (a, "--system", "sft", "--system", "sft"),
        (a, tmp_path / "x"),
    ):
        code, out, err = said(capsys, *words)
        assert (code, out) == (2, ""), words
        assert err.startswith(("error: ", "Usage"))
