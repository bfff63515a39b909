"""The tree of errors: an exit code each, and the place of what is wrong in front of the message."""

import pytest

from judgekit import errors
from judgekit.errors import DataError, JudgekitError, PreflightError

ALL = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, JudgekitError)]


def test_the_tree_in_the_docstring_is_the_tree_with_its_exit_codes():
    drawn = {word for line in (errors.__doc__ or "").splitlines() for word in line.split() if word.endswith("Error")}
    assert drawn <= {one.__name__ for one in ALL}
    for one in ALL:
        assert one.__name__ in (errors.__doc__ or ""), one
        if one is not PreflightError:
            nearest = next(base for base in one.__mro__ if "exit_code" in vars(base))
            (line,) = (
                row for row in (errors.__doc__ or "").splitlines() if nearest.__name__ in row.replace("──", " ").split()
            )
            assert str(one.exit_code) in line.split(), one


@pytest.mark.parametrize(
    ("place", "said"), [({}, "bad"), ({"path": "a"}, "a: bad"), ({"path": "a", "line": 3}, "a:3: bad")]
)
def test_the_place_stands_in_front(place, said):
    error = DataError("bad", **place)
    assert (str(error), error.message) == (said, "bad")


def test_preflight_says_every_problem_on_a_line_of_its_own():
    error = PreflightError([("data", "gone"), ("", "b: bad")], 4)
    assert (str(error).splitlines(), error.exit_code) == (["data: gone", "b: bad"], 4)
