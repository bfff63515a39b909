"""F1 as SQuAD's evaluation has it, and what it does with other scripts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judgekit_metrics.reference import squad_tokens, token_f1
from tables import each


@each(
    ("The Denver Broncos!", "denver broncos", 1.0),  # case, articles and punctuation count for nothing
    ("Denver", "Denver Broncos", 2 / 3),  # precision 1, recall 1/2
    ("the team Denver Broncos won it", "Denver Broncos", 2 * 2 / (5 + 2)),
    ("a a b", "b b", 2 * 1 / (1 + 2)),  # "a" is an article; a token counts as often as both have it
    ("x x y", "x y y", 2 * 2 / (3 + 3)),
    ("New York", "Boston", 0.0),
    ("1,000", "1000", 1.0),
    ("don't", "dont", 1.0),
    ("well-known", "well known", 0.0),  # a hyphen goes, and no space takes its place
    ("", "", 1.0),
    ("the", "An", 1.0),  # nothing is left of either
    ("", "yes", 0.0),
    ("an answer", "", 0.0),
)
def test_f1_is_that_of_squad(response, reference, f1):
    assert token_f1(response, reference) == pytest.approx(f1)


@each(
    ("서울은 수도다.", ["서", "울", "은", "수", "도", "다"]),
    ("\u1109\u1165\u110b\u116e\u11af", ["서", "울"]),  # decomposed, as some systems write it
    ("東京は「首都」です。", ["東", "京", "は", "首", "都", "で", "す"]),
    ("中文 GPT-2模型", ["中", "文", "gpt2", "模", "型"]),
    ("ＡＢＣ", ["abc"]),
    ("“curly” … quotes", ["curly", "quotes"]),
    ("Ça va?", ["ça", "va"]),
)
def test_scripts_without_spaces_and_hangul_count_by_the_character(text, tokens):
    assert squad_tokens(text) == tokens


def test_a_particle_costs_a_korean_answer_little():
    assert token_f1("서울은", "서울") == pytest.approx(4 / 5)


@given(st.text(), st.text())
def test_f1_is_symmetric_and_in_range(first, second):
    value = token_f1(first, second)
    assert 0 <= value <= 1
    assert value == token_f1(second, first)
    assert token_f1(first, first) == 1
