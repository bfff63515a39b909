"""What a release must hold. `pytest` runs judgekit.yaml once, for all of these tests and for all xdist workers."""

import pytest

CONFIG = "judgekit.yaml"


@pytest.mark.judgekit(config=CONFIG, metric="quality", margin=20)  # since the config's baseline
def test_is_no_worse_than_the_release():
    pass


@pytest.mark.judgekit(config=CONFIG, metric="exact", min=0.5)
def test_answers_half_of_the_questions_to_the_letter():
    pass


def test_the_judge_tells_a_right_answer_from_none(judgekit):
    question = {"instruction": "What is the plural of the noun 'mouse'?", "reference": "mice"}
    assert judgekit.score("mice", **question) > judgekit.score("It depends.", **question)
