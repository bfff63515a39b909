"""Problems are collected, and the exit code of the worst is the run's."""

import pytest

from judgekit.errors import DataError, PreflightError
from judgekit.pipeline.prepared import Problems, data_label


@pytest.mark.parametrize(("codes", "code"), [([4, 2], 2), ([4, 4], 4), ([6, 4], 4), ([6, 5], 6)])
def test_a_wrong_config_comes_before_a_dead_server(codes, code):
    problems = Problems()
    for number, one in enumerate(codes):
        problems.add(f"models.{number}", "bad", one)
    with pytest.raises(PreflightError) as caught:
        problems.raise_errors()
    assert caught.value.exit_code == code
    assert [where for where, _ in caught.value.problems] == [f"models.{n}" for n in range(len(codes))]


def test_one_of_our_errors_is_a_problem_and_another_is_a_bug():
    problems = Problems()

    def fails():
        raise DataError("bad", path="items.json", line=3)

    assert problems.attempt("data", fails) is None
    assert problems.attempt("data", lambda: 3) == 3
    assert [(one.where, one.message, one.exit_code) for one in problems.noted] == [("", "items.json:3: bad", 2)]
    with pytest.raises(ZeroDivisionError), problems.collecting("data"):
        1 / 0  # noqa: B018


def test_a_warning_stops_nothing():
    problems = Problems()
    problems.warn("data", "few items")
    problems.raise_errors()
    assert [one.severity for one in problems.noted] == ["warning"]


def test_data_sets_are_named_by_their_place():
    assert (data_label(""), data_label("mmlu")) == ("data", "metrics.mmlu.data")
