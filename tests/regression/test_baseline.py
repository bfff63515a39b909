"""Baseline files: small, stable, without texts; and what is refused in place of one."""

import json

import pytest

from gate_folders import a_run, as_if_written, drawn, moved
from judgekit.cli import execute
from judgekit.errors import DataError, IncompleteError
from judgekit.regression.baseline import baseline_of, read_baseline, to_bytes, write_baseline
from judgekit.run_folder import RunFolder

BASE = drawn(40, 1)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "base.json"
    write_baseline(RunFolder(a_run(tmp_path / "run", {"quality": {"sft": BASE}})).view(), path)
    return path


def said(capsys, *words):
    code = execute([*map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_equal_scores_give_equal_bytes_and_sorted_keys(file, tmp_path):
    again = RunFolder(a_run(tmp_path / "other" / "run", {"quality": {"sft": BASE}})).view()
    assert to_bytes(baseline_of(again)) == file.read_bytes()
    tree = json.loads(file.read_bytes())
    assert file.read_bytes() == json.dumps(tree, indent=1, sort_keys=True).encode() + b"\n"


def test_it_holds_scores_and_fingerprints_and_no_texts(file):
    text = file.read_text("ascii")
    sheet = json.loads(text)["metrics"]["quality"]
    assert sheet["systems"]["sft"]["items"]["s000"] == pytest.approx(BASE[0], rel=1e-8)
    assert sheet["instrument"]["judge's digest"] == "a" * 64
    assert sheet["instrument"]["prompt score/grade"] == "b" * 64
    assert len(sheet["dataset"]) == 64
    for hidden in ("Question", "Answer", "says", "kind 0"):
        assert hidden not in text
    assert len(text) < 3000


def test_long_texts_of_a_judge_are_hashed(tmp_path):
    judge = {"backend": "gone", "criterion": "Is it kind? " * 20, "rubric": {"1": "rude", "5": "kind"}}
    run = a_run(tmp_path / "run", {"quality": {"sft": BASE}}, spec={"judges": {"main": judge}})
    instrument = baseline_of(RunFolder(run).view()).metrics["quality"].instrument
    assert instrument["judge criterion"].startswith("sha256:")
    assert instrument["judge rubric"].startswith("sha256:")


def test_repeats_are_averaged_and_their_noise_is_kept(tmp_path):
    repeats = [[score, score + 4] for score in BASE]
    run = a_run(tmp_path / "run", {"quality": {"sft": repeats}})
    scores = baseline_of(RunFolder(run).view()).metrics["quality"].systems["sft"]
    assert scores.items["s003"] == pytest.approx(BASE[3] + 2)
    assert scores.repeats == 2
    assert scores.noise == {"generation": pytest.approx(8)}


def test_missing_verdicts_are_null_with_their_ends(tmp_path):
    run = a_run(tmp_path / "run", {"quality": {"sft": [None, [50.0, None], *BASE]}})
    scores = baseline_of(RunFolder(run).view()).metrics["quality"].systems["sft"]
    assert scores.items["s000"] is None
    assert scores.missing == {"s000": (0, 100), "s001": (25, 75)}
    assert scores.counts["unparsed"] == 2


def test_an_incomplete_run_is_no_baseline(tmp_path, capsys):
    run = a_run(tmp_path / "run", {"quality": {"sft": BASE}}, status="incomplete")
    with pytest.raises(IncompleteError):
        write_baseline(RunFolder(run).view(), tmp_path / "b.json")
    code, _, err = said(capsys, "baseline", "set", run, tmp_path / "b.json")
    assert code == 3
    assert "incomplete" in err
    assert not (tmp_path / "b.json").exists()


def test_a_run_without_a_score_is_no_baseline(tmp_path):
    run = a_run(tmp_path / "run", {"quality": {"sft": [None, None]}})
    with pytest.raises(DataError, match="no scored item"):
        write_baseline(RunFolder(run).view(), tmp_path / "b.json")


def test_a_file_that_is_no_baseline_is_not_overwritten(tmp_path):
    precious = tmp_path / "package.json"
    precious.write_text('{"name": "mine"}')
    with pytest.raises(DataError, match="is no baseline"):
        write_baseline(RunFolder(a_run(tmp_path / "run", {"quality": {"sft": BASE}})).view(), precious)
    assert precious.read_text() == '{"name": "mine"}'


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tree: tree | {"schema_version": 99}, "written by a newer judgekit"),
        (lambda tree: tree | {"metrics": 3}, r"damaged: metrics"),
        (lambda tree: [tree], "is no baseline"),
        (lambda tree: {"estimates": []}, "is no baseline"),
    ],
)
def test_other_files_are_refused_with_their_name(file, change, message):
    file.write_text(json.dumps(change(json.loads(file.read_bytes()))))
    with pytest.raises(DataError, match=message) as caught:
        read_baseline(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "1e999", '"60"', "101", "-1"])
def test_no_number_and_numbers_off_the_scale_are_refused(file, bad):
    text = file.read_text("ascii")
    score = next(line for line in text.splitlines() if '"s005"' in line)
    file.write_text(text.replace(score, f'      "s005": {bad},'))
    with pytest.raises(DataError, match="damaged"):
        read_baseline(file)


def test_truncated_and_missing_files_are_refused(file, tmp_path):
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(DataError, match="damaged"):
        read_baseline(file)
    with pytest.raises(DataError, match="no such file; `judgekit baseline set RUN FILE` writes one"):
        read_baseline(tmp_path / "nowhere.json")
    with pytest.raises(DataError, match="is a folder"):
        read_baseline(tmp_path)


def test_set_show_and_diff_say_what_matters(tmp_path, file, capsys):
    new = a_run(tmp_path / "new", {"quality": {"sft": moved(BASE, -3, 4)}, "other": {"sft": BASE}},
                card=False, identities={"judges.main": {"model": "llama4", "digest": "a" * 64}})  # fmt: skip
    code, out, _ = said(capsys, "baseline", "set", new, tmp_path / "new.json")
    assert code == 0
    assert out.startswith(f"wrote {tmp_path / 'new.json'}: quality (sft: 40 items), other (sft: 40 items)\n")
    assert "judge main failed its card" in out
    waived = a_run(tmp_path / "waived", {"quality": {"sft": BASE}}, card=False, spec={"gate": {"waive": ["main"]}})
    assert "failed its card" not in said(capsys, "baseline", "set", waived, tmp_path / "waived.json")[1]
    code, out, _ = said(capsys, "baseline", "show", file)
    assert code == 0
    assert "quality" in out
    assert "judge's model" in out
    code, out, _ = said(capsys, "baseline", "diff", file, tmp_path / "new.json")
    assert code == 0
    assert "! quality: judge's model: llama3 in the first, llama4 in the second" in out
    assert "+ metric other" in out
    assert "40 items moved" in out
    assert "and 30 more" in out
    assert said(capsys, "baseline", "diff", file, file)[:2] == (0, "no difference\n")
    assert said(capsys, "baseline", "diff", file, tmp_path / "run")[:2] == (0, "no difference\n")


def test_nan_in_the_rows_of_a_run_is_refused_with_file_and_line(tmp_path, capsys):
    run = a_run(tmp_path / "run", {"quality": {"sft": BASE}})
    rows = (run / "rows.jsonl").read_text("ascii").splitlines()
    rows[4] = rows[4].replace(f'"value":{BASE[4]}', '"value":NaN')
    (run / "rows.jsonl").write_text("\n".join(rows) + "\n")
    code, _, err = said(capsys, "baseline", "set", run, tmp_path / "b.json")
    assert code == 6
    assert "rows.jsonl:5" in err
    rows[4] = rows[3]
    (run / "rows.jsonl").write_text("\n".join(rows) + "\n")
    as_if_written(run)
    code, _, err = said(capsys, "baseline", "set", run, tmp_path / "b.json")
    assert (code, "added twice" in err) == (2, True)
