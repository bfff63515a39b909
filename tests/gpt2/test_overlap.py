"""A model asked about its own training items: warned of before the first call."""

import pytest

import judgekit
from judgekit_gpt2 import judgekit_check


@pytest.mark.parametrize(
    ("asked", "training", "warned"),
    [
        ({"path": "a.json", "split": "test"}, {"data": "a.json"}, False),
        ({"path": "a.json", "split": "train"}, {"data": "a.json"}, True),
        ({"path": "a.json"}, {"data": "a.json"}, True),
        ({"path": "a.json", "split": "test"}, {"data": "a.json", "split": "test"}, True),
        ({"path": "a.json", "split": "train"}, {"data": "b.json"}, False),
    ],
)
def test_the_training_split_is_not_for_evaluation(
    asked: dict[str, str], training: dict[str, str], warned: bool
) -> None:
    spec = judgekit.RunSpec.model_validate(
        {
            "name": "x",
            "data": asked,
            "train": {"sft": {"trainer": "gpt2-finetune", "from": "y", **training}},
            "models": {"sft": {"backend": "gpt2", "checkpoint": "train:sft"}},
            "metrics": {"exact": {"type": "exact_match"}},
        }
    )
    problems = judgekit_check(spec=spec)
    assert [problem.severity for problem in problems] == ["warning"] * warned
