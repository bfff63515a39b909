"""Files of graded verdicts by place (`A>>B`), as Arena-Hard and JudgeBench write them."""

import json

import numpy as np
import pytest

from judgekit.errors import JudgekitError
from stored_study import record_of, values
from tables import each

GRADES = ["A>>B", "A>B", "A=B", "B>A", "B>>A", "A<B", "A<<B", "B=A", "B<A", "B<<A"]
SCORES = {"A>B": [1], "A>>B": [1] * 3, "A=B": [0.5], "A<<B": [0] * 3, "A<B": [0], "B>A": [0], "B>>A": [0] * 3}
SCORES |= {"B=A": [0.5], "B<A": [1], "B<<A": [1] * 3}


def arena(folder, items=120):
    """Judgements and answers in Arena-Hard's shapes: the second game has the system's answer first."""
    rng = np.random.default_rng(7)
    games = [[{"score": str(grade)} for grade in rng.choice(GRADES, 2)] for _ in range(items)]
    rows = [{"uid": f"u{i}", "model": "m", "games": pair} for i, pair in enumerate(games)]
    (folder / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in ("tuned", "base"):
        texts = ["word " * rng.integers(5, 60) + "**b** " * rng.integers(0, 4) for _ in range(items)]
        texts = ["# h\n" * rng.integers(0, 3) + "- l\n" * rng.integers(0, 3) + text for text in texts]
        lines = [
            {"uid": f"u{i}", "messages": [{"content": "q"}, {"content": {"answer": text}}]}
            for i, text in enumerate(texts)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return rows


OPTIONS = {
    "id": "uid", "verdict": "games[1].score", "swapped": "games[0].score", "shown": ["A", "B"], "strong": 3,
    "judge": {"name": "gpt-4.1"},
    "answers": {
        "files": {"tuned": "tuned.jsonl", "base": "base.jsonl"}, "id": "uid", "text": "messages[-1].content.answer",
    },
    "style_control": True,
}  # fmt: skip


def arena_record(folder, **changes):
    options = {key: value for key, value in {**OPTIONS, **changes}.items() if value is not None}
    return record_of(folder, folder / "m.jsonl", models="tuned base", data_id="uid", **options)


def test_arena_hards_files_give_its_score_and_win_rates_at_equal_style(tmp_path):
    rows = arena(tmp_path)
    record = arena_record(tmp_path)
    battles = [s for row in rows for s in SCORES[row["games"][1]["score"]]]
    battles += [1 - s for row in rows for s in SCORES[row["games"][0]["score"]]]
    found = {one.series: one for one in record.estimates}
    assert found["weighted"].value == pytest.approx(np.mean(battles), abs=1e-12)
    assert found["weighted"].interval.method == "bootstrap_refit"
    plain = [sum(s[0] for s in pair) / 2 for pair in zip(*_games(rows), strict=True)]
    assert found["value"].value == pytest.approx(np.mean(plain), abs=1e-12)
    for series in ("length_adjusted", "style_controlled"):
        assert found[series].value is not None, series
        assert found[series].interval.low < found[series].value < found[series].interval.high
    counted = arena_record(tmp_path, strong=None)
    assert "weighted" not in values(counted)
    assert values(counted)["value"] == found["value"].value
    assert values(counted)["style_controlled"] != found["style_controlled"].value


def _games(rows):
    first = [SCORES[row["games"][1]["score"]] for row in rows]
    return first, [[1 - s for s in SCORES[row["games"][0]["score"]]] for row in rows]


@each(
    ({"shown": ["A", "A"]}, "shown"),
    ({"shown": None}, "the winner"),
    ({"strong": 1}, "strong"),
    ({"answers": None}, "style_control"),
    ({"answers": {**OPTIONS["answers"], "files": {"tuned": "tuned.jsonl"}}}, "answers"),
    ({"answers": {**OPTIONS["answers"], "text": "nothing.here"}}, "field"),
)  # fmt: skip
def test_what_does_not_fit_together_is_an_error_before_the_run(changes, word, tmp_path):
    arena(tmp_path)
    with pytest.raises(JudgekitError, match=word):
        arena_record(tmp_path, **changes)
    assert not (tmp_path / "runs").exists()


@each("A>A", "A>C", "A>=B", "A>>>B", ">B", "C=A")
def test_a_grade_of_others_is_no_verdict(grade, tmp_path):
    rows = arena(tmp_path)
    rows[3]["games"][0]["score"] = grade
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(JudgekitError, match="line 4"):
        arena_record(tmp_path)


def test_judgebench_counts_a_win_and_a_tie_as_right_and_a_decision_that_is_not_there_as_a_tie(tmp_path):
    """Its second decision is on the prompt's order: A is the answer that the label calls B."""
    decisions = [("A>B", "B>A"), ("A>B", "A=B"), ("A=B", "B>A"), ("A>B", "A>B"), ("A=B", "A=B"), ("B>A", "A>B")]
    decisions += [("A>B", None), (None, None)]
    right = [1, 1, 1, 0, 0, 0, 1, 0]
    rows = [
        {"pair_id": f"p{i}", "label": "A>B", "judgments": [None if one is None else {"decision": one} for one in pair]}
        for i, pair in enumerate(decisions)
    ]
    (tmp_path / "out.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    record = record_of(
        tmp_path,
        tmp_path / "out.jsonl",
        models="A B",
        data_id="pair_id",
        id="pair_id",
        verdict="judgments[0].decision",
        swapped="judgments[1].decision",
        shown=["A", "B"],
        label="label",
        ties=["tie", ""],
        judge={"name": "o1-mini", "prompt": "arena_hard"},
    )
    assert values(record)["right_mean"] == pytest.approx(sum(right) / len(right))
    assert values(record)["right_both"] == pytest.approx(1 / 8)
    assert values(record)["value"] == pytest.approx((1 + 0.75 + 0.75 + 0.5 + 0.5 + 0 + 0.75 + 0.5) / 8)
