"""Answers read by their probabilities: what is captured, what is not, and that nothing is made up."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgekit.judging.logprobs import Spread, spread_of_continuations, spread_of_tokens
from judgekit.judging.parsing import Unreadable
from judgekit.records import Continuation, Token
from judgekit_readings.probabilities import answer_begins, expected, prefix_of_another

FIVE = [str(level) for level in range(1, 6)]
TEN = [str(level) for level in range(1, 11)]
HUNDRED = [str(level) for level in range(101)]


def token(text, chance=None, **others):
    """A token with its probability, and those of the alternatives at its place."""
    choices = {text: chance if chance is not None else 1.0, **others}
    return Token(
        text=text,
        logprob=math.log(choices[text]),
        top=tuple((choice, math.log(share)) for choice, share in choices.items() if share > 0),
    )


def shares(tokens, answers, **options):
    return pytest.approx(spread_of_tokens(tokens, answers, **options).shares)


def test_every_level_has_the_probability_of_its_token():
    first = token("4", 0.5, **{"5": 0.3, "3": 0.15, "The": 0.05})
    assert shares([first], FIVE) == {"4": 0.5, "5": 0.3, "3": 0.15}
    assert spread_of_tokens([first], FIVE).mass == pytest.approx(0.95)


def test_spellings_of_an_answer_are_one():
    first = token(" Yes", 0.5, **{"Yes": 0.2, "yes": 0.1, "No": 0.1, "**Yes": 0.05, "Maybe": 0.05})
    assert shares([first], ["Yes", "No"], fold=str.casefold) == {"Yes": 0.85, "No": 0.1}


def test_white_space_and_marks_come_before_the_answer():
    tokens = [token("\n", 0.6, **{"4": 0.3, "5": 0.1}), token("**", 0.5, **{"3": 0.5}), token("2", 0.9, **{"1": 0.1})]
    assert shares(tokens, FIVE) == {"4": 0.3, "5": 0.1, "3": 0.3, "2": 0.27, "1": 0.03}


def test_thoughts_come_before_the_answer():
    words = ["<think>", "5", "</think>", "\n", "2"]
    begin = answer_begins("".join(words), "3fa9c1d2", (), False)
    assert shares([token(word) for word in words], FIVE, begin=begin) == {"2": 1.0}
    endless = answer_begins("".join(words[:2]), "3fa9c1d2", (), False)
    assert spread_of_tokens([token(word) for word in words[:2]], FIVE, begin=endless).mass == 0


def test_a_signed_answer_stands_after_its_nonce():
    words = ["5", "\n", "Score ", "3fa", "9c1d2", ":", " 2"]
    begin = answer_begins("".join(words), "3fa9c1d2", ("5",), False)
    assert shares([token(word) for word in words], FIVE, begin=begin) == {"2": 1.0}


@pytest.mark.parametrize(
    ("text", "response", "cut"),
    [
        ("5", "5", False), ("**5**", "Rats.\n5.", False), ("> 5\nmore", "5", False), ("5 out of", "5 out of 5", True),
        ("<think>x</think>5", "5", False), ("x</think>\n5", "x</think>\n5", False),
    ],
)  # fmt: skip
def test_an_unsigned_answer_that_the_response_holds_may_be_its_echo(text, response, cut):
    with pytest.raises(Unreadable, match="its echo"):
        answer_begins(text, "3fa9c1d2", (response,), cut)


@pytest.mark.parametrize(
    ("text", "response", "cut"),
    [("5", "5 mice", False), ("5 because", "5", True), ("", "", True), ("\n5\nx", "x", True)],
)
def test_any_other_answer_is_read_from_its_beginning(text, response, cut):
    assert answer_begins(text, "3fa9c1d2", (response,), cut) == 0


def test_what_is_no_answer_is_not_captured():
    assert spread_of_tokens([token("The", 0.7, Response=0.3)], FIVE).mass == 0
    assert spread_of_tokens([], FIVE).mass == 0
    assert spread_of_tokens([token("four")], FIVE).mass == 0
    assert spread_of_tokens([token("４")], FIVE).mass == 0, "digits are ASCII"
    assert spread_of_tokens([token("6", 0.9, **{"0": 0.1})], FIVE).mass == 0


def test_an_answer_that_goes_on_as_a_word_is_another_word():
    assert spread_of_tokens([token("No"), token("body")], ["Yes", "No"], str.casefold).mass == 0
    assert shares([token("No"), token(","), token("it")], ["Yes", "No"], fold=str.casefold) == {"No": 1.0}
    assert shares([token("A"), token(".")], ["A", "B"]) == {"A": 1.0}
    assert spread_of_tokens([token("A"), token("nne")], ["A", "B"]).mass == 0
    assert shares([token("A"), token("\n", 0.75, nne=0.25)], ["A", "B"]) == {"A": 0.75}


def test_a_word_in_pieces_is_put_together():
    tokens = [token("Y", 0.8, N=0.2), token("es", 1.0)]
    assert shares(tokens, ["Yes", "No"], fold=str.casefold) == {"Yes": 0.8}, "what follows N is not known"


@pytest.mark.parametrize(
    "rest",
    [[".", "5"], [",5"], ["/", "10"], ["-", "5"], ["–5"], [" / 10"], ["%"], [" out", " of", " 10"], [" or", " 5"],
     [" to 5"], [" and", " 2"]],
)  # fmt: skip
def test_a_number_that_goes_on_is_another_number(rest):
    with pytest.raises(Unreadable, match="not one of the answers"):
        spread_of_tokens([token("4"), *map(token, rest)], FIVE)


@pytest.mark.parametrize("rest", [["/B"], [" or", " B"], [" and B"]])
def test_two_answers_are_none(rest):
    with pytest.raises(Unreadable, match="not one of the answers"):
        spread_of_tokens([token("A"), *map(token, rest)], ["A", "B"])
    assert shares([token("A"), token(" or"), token(" Boring")], ["A", "B"]) == {"A": 1.0}


@pytest.mark.parametrize("rest", [["."], [". ", "Good"], [" because"], ["\n", "5"], ["**"], [" out", " of", " 5"]])
def test_a_number_may_be_followed_by_words(rest):
    assert shares([token("4"), *map(token, rest)], FIVE) == {"4": 1.0}


def test_a_number_in_one_token_beside_its_beginning():
    first = token("10", 0.6, **{"1": 0.3, "9": 0.1})
    assert shares([first], TEN) == {"10": 0.6, "1": 0.3, "9": 0.1}, "a vocabulary that has 10 writes 1 for 1"


def test_a_number_digit_by_digit_is_followed_on_its_way():
    tokens = [token("1", 0.7, **{"9": 0.2, "8": 0.1}), token("0", 0.9, **{"\n": 0.1})]
    assert shares(tokens, TEN) == {"10": 0.63, "1": 0.07, "9": 0.2, "8": 0.1}
    ends = [token("1", 0.7, **{"9": 0.3}), token("\n", 0.8, **{"0": 0.2})]
    assert shares(ends, TEN) == {"1": 0.56, "10": 0.14, "9": 0.3}


def test_the_beginning_of_a_number_beside_the_way_is_not_captured():
    tokens = [token("8", 0.6, **{"9": 0.4}), token("5", 0.7, **{"0": 0.3})]
    found = spread_of_tokens(tokens, HUNDRED)
    assert found.shares == pytest.approx({"85": 0.42, "80": 0.18})
    assert found.mass == pytest.approx(0.6), "whether 9 is 9 or 90 or 95 is not known"


def test_a_number_that_ends_the_reply_has_ended():
    assert shares([token("1", 0.9, **{"7": 0.1})], TEN) == {"1": 0.9, "7": 0.1}
    assert shares([token("100")], HUNDRED) == {"100": 1.0}
    assert shares([token("1"), token("0"), token("0")], HUNDRED) == {"100": 1.0}
    assert spread_of_tokens([token("1"), token("0"), token("0"), token("0")], HUNDRED).mass == 0


def test_negative_levels_are_followed():
    levels = ["-2", "-1", "0", "1", "2"]
    assert shares([token("-", 0.6, **{"1": 0.4}), token("2", 0.5, **{"1": 0.5})], levels) == {
        "1": 0.4, "-2": 0.3, "-1": 0.3,
    }  # fmt: skip


def test_probabilities_that_are_none_are_refused():
    with pytest.raises(Unreadable, match="add up to more than 1"):
        spread_of_tokens([token("4", 0.9, **{"5": 0.9})], FIVE)
    with pytest.raises(Unreadable, match="above 0"):
        spread_of_tokens([Token(text="4", logprob=0.5)], FIVE)
    assert spread_of_tokens([Token(text="4", logprob=0.0, top=(("4", 0.0), ("5", -9999.0)))], FIVE).mass == 1


def test_the_chosen_token_counts_where_it_is_not_among_the_alternatives():
    drawn = Token(text="2", logprob=math.log(0.1), top=(("4", math.log(0.8)),))
    assert shares([drawn], FIVE) == {"4": 0.8, "2": 0.1}


def test_half_a_character_counts_once_however_it_is_written():
    half = Token(text="", logprob=math.log(0.7), top=(("\ufffd", math.log(0.7)), ("4", math.log(0.3))))
    assert shares([half], FIVE) == {"4": 0.3}


def likelihoods(*chances):
    return [Continuation(token_logprobs=(math.log(chance / 2), math.log(2))) for chance in chances]


def test_continuations_with_and_without_a_space_add_up():
    found = spread_of_continuations(likelihoods(0.1, 0.2, 0.3, 0.05), ["Yes", "No"])
    assert found.shares == pytest.approx({"Yes": 0.4, "No": 0.25})


def test_bad_continuations_are_refused():
    with pytest.raises(Unreadable, match="no log-likelihood"):
        spread_of_continuations([Continuation(token_logprobs=())] * 4, ["Yes", "No"])
    with pytest.raises(Unreadable, match="more than 1"):
        spread_of_continuations(likelihoods(0.6, 0.6, 0.6, 0.6), ["Yes", "No"])


def test_the_expected_score_is_renormalised_and_shows_its_mass():
    verdict = expected(Spread({"4": 0.6, "5": 0.3}), {level: float(level) for level in FIVE}, 0.8, "4")
    assert verdict.value == pytest.approx((4 * 0.6 + 5 * 0.3) / 0.9)
    assert verdict.series == {"mass": pytest.approx(0.9)}
    raw = json.loads(verdict.raw)
    assert (raw["said"], raw["mass"]) == ("4", pytest.approx(0.9))
    assert raw["probabilities"] == pytest.approx({"4": 0.6, "5": 0.3})


@pytest.mark.parametrize(("mass", "status"), [(0.81, "scored"), (0.8, "scored"), (0.79, "unparsed"), (0.0, "unparsed")])
def test_a_mass_under_the_floor_is_no_score_and_says_so(mass, status):
    verdict = expected(Spread({"4": mass}), {"4": 4.0, "5": 5.0}, 0.8, "4")
    assert verdict.status == status
    assert verdict.series == {"mass": pytest.approx(mass)}
    if status == "unparsed":
        assert verdict.detail == f"the answers asked for hold {mass:g} of the probability, under the floor of 0.8"


def test_two_answers_of_which_one_begins_the_other():
    assert prefix_of_another(TEN) == ("1", "10")
    assert prefix_of_another(FIVE) is None
    assert prefix_of_another(["Yes", "No"]) is None


chances = st.lists(st.floats(0.001, 1), min_size=1, max_size=20)


@settings(deadline=None)
@given(chances, st.lists(st.sampled_from([*HUNDRED, "The", "\n", " 4", "4.", "x"]), min_size=20, max_size=20))
def test_mass_and_score_never_leave_their_ranges(weights, texts):
    total = sum(weights)
    choices = dict(zip(texts, (weight / total for weight in weights), strict=False))
    text = max(choices, key=choices.get)
    first = Token(
        text=text,
        logprob=math.log(choices[text]),
        top=tuple((choice, math.log(share)) for choice, share in choices.items()),
    )
    found = spread_of_tokens([first], HUNDRED)
    assert 0 <= found.mass <= 1
    verdict = expected(found, {level: float(level) for level in HUNDRED}, 0.8)
    assert (verdict.value is not None) == (found.mass >= 0.8)
    assert verdict.value is None or 0 <= verdict.value <= 100
