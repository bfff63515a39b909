"""Answers read by their probabilities: what is captured, what is not, and that nothing is made up."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judgekit.judging.logprobs import Spread, spread_of_continuations, spread_of_tokens
from judgekit.judging.parsing import Unreadable
from judgekit.records import Continuation, Reply, Token
from judgekit.thoughts import STRIP
from judgekit_readings.probabilities import answer_begins, expected, prefix_of_another

FIVE = [str(level) for level in range(1, 6)]
TEN = [str(level) for level in range(1, 11)]
HUNDRED = [str(level) for level in range(101)]
WORDS, LETTERS = ["Yes", "No"], ["A", "B"]


def token(text, chance=None, **others):
    """A token with its probability, and those of the alternatives at its place."""
    choices = {text: chance if chance is not None else 1.0, **others}
    return Token(
        text=text,
        logprob=math.log(choices[text]),
        top=tuple((choice, math.log(share)) for choice, share in choices.items() if share > 0),
    )


def of_tokens(*texts):
    return [token(text) for text in texts]


HALF = Token(text="", logprob=math.log(0.7), top=(("\ufffd", math.log(0.7)), ("4", math.log(0.3))))
DRAWN = Token(text="2", logprob=math.log(0.1), top=(("4", math.log(0.8)),))
MARKED = [token("\n", 0.6, **{"4": 0.3, "5": 0.1}), token("**", 0.5, **{"3": 0.5}), token("2", 0.9, **{"1": 0.1})]
SPREADS = [
    (FIVE, [token("4", 0.5, **{"5": 0.3, "3": 0.15, "The": 0.05})], {"4": 0.5, "5": 0.3, "3": 0.15}),
    # spellings of an answer are one
    (WORDS, [token(" Yes", 0.5, Yes=0.2, yes=0.1, No=0.1, Maybe=0.05, **{"**Yes": 0.05})], {"Yes": 0.85, "No": 0.1}),
    # white space and marks come before the answer
    (FIVE, MARKED, {"4": 0.3, "5": 0.1, "3": 0.3, "2": 0.27, "1": 0.03}),
    # what is no answer is not captured, and digits are ASCII
    (FIVE, [token("The", 0.7, Response=0.3)], {}),
    (FIVE, [], {}),
    (FIVE, [token("four")], {}),
    (FIVE, [token("４")], {}),
    (FIVE, [token("6", 0.9, **{"0": 0.1})], {}),
    # an answer that goes on as a word is another word
    (WORDS, of_tokens("No", "body"), {}),
    (WORDS, of_tokens("No", ",", "it"), {"No": 1.0}),
    (LETTERS, of_tokens("A", "."), {"A": 1.0}),
    (LETTERS, of_tokens("A", "nne"), {}),
    (LETTERS, of_tokens("A", " or", " Boring"), {"A": 1.0}),
    (LETTERS, [token("A"), token("\n", 0.75, nne=0.25)], {"A": 0.75}),
    # a word in pieces is put together; what follows N is not known
    (WORDS, [token("Y", 0.8, N=0.2), token("es", 1.0)], {"Yes": 0.8}),
    # a vocabulary that has 10 writes 1 for 1
    (TEN, [token("10", 0.6, **{"1": 0.3, "9": 0.1})], {"10": 0.6, "1": 0.3, "9": 0.1}),
    # a number digit by digit is followed on its way
    (
        TEN,
        [token("1", 0.7, **{"9": 0.2, "8": 0.1}), token("0", 0.9, **{"\n": 0.1})],
        {"10": 0.63, "1": 0.07, "9": 0.2, "8": 0.1},
    ),
    (TEN, [token("1", 0.7, **{"9": 0.3}), token("\n", 0.8, **{"0": 0.2})], {"1": 0.56, "10": 0.14, "9": 0.3}),
    # beside the way, whether 9 is 9 or 90 or 95 is not known
    (HUNDRED, [token("8", 0.6, **{"9": 0.4}), token("5", 0.7, **{"0": 0.3})], {"85": 0.42, "80": 0.18}),
    # a number that ends the reply has ended
    (TEN, [token("1", 0.9, **{"7": 0.1})], {"1": 0.9, "7": 0.1}),
    (HUNDRED, [token("100")], {"100": 1.0}),
    (HUNDRED, of_tokens("1", "0", "0"), {"100": 1.0}),
    (HUNDRED, of_tokens("1", "0", "0", "0"), {}),
    (
        ["-2", "-1", "0", "1", "2"],
        [token("-", 0.6, **{"1": 0.4}), token("2", 0.5, **{"1": 0.5})],
        {"1": 0.4, "-2": 0.3, "-1": 0.3},
    ),
    # the chosen token counts where it is not among the alternatives, and half a character once, however it is written
    (FIVE, [DRAWN], {"4": 0.8, "2": 0.1}),
    (FIVE, [HALF], {"4": 0.3}),
]
FOLLOWED_BY = [["."], [". ", "Good"], [" because"], ["\n", "5"], ["**"], [" out", " of", " 5"]]
SPREADS += [(FIVE, of_tokens("4", *rest), {"4": 1.0}) for rest in FOLLOWED_BY]


@pytest.mark.parametrize(("answers", "tokens", "shares"), SPREADS)
def test_an_answer_has_the_probability_of_its_tokens(answers, tokens, shares):
    found = spread_of_tokens(tokens, answers, str.casefold if answers is WORDS else str)
    assert found.shares == pytest.approx(shares)
    assert found.mass == pytest.approx(sum(shares.values()))


@pytest.mark.parametrize(
    ("words", "shares"),
    [
        (["<think>", "5", "</think>", "\n", "2"], {"2": 1.0}),
        (["<think>", "5"], {}),
        (["5", "\n", "Score ", "3fa", "9c1d2", ":", " 2"], {"2": 1.0}),
    ],
)
def test_thoughts_or_the_nonce_come_before_the_answer(words, shares):
    reply = STRIP.cut(Reply(text="".join(words), tokens=of_tokens(*words)))
    begin = answer_begins(reply.text, "3fa9c1d2", ("5",), False)
    assert spread_of_tokens(reply.tokens, FIVE, begin=begin).shares == shares


@pytest.mark.parametrize(
    ("text", "response", "cut"),
    [
        ("5", "5", False), ("**5**", "Rats.\n5.", False), ("> 5\nmore", "5", False), ("5 out of", "5 out of 5", True),
        ("5", "x</think>\n5", False),
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


@pytest.mark.parametrize(
    "rest",
    [[".", "5"], [",5"], ["/", "10"], ["-", "5"], ["–5"], [" / 10"], ["%"], [" out", " of", " 10"], [" or", " 5"],
     [" to 5"], [" and", " 2"], ["/B"], [" or", " B"], [" and B"]],
)  # fmt: skip
def test_a_number_that_goes_on_is_another_one_and_two_answers_are_none(rest):
    first, answers = ("A", ["A", "B"]) if "B" in rest[-1] else ("4", FIVE)
    with pytest.raises(Unreadable, match="not one of the answers"):
        spread_of_tokens(of_tokens(first, *rest), answers)


def test_probabilities_that_are_none_are_refused():
    with pytest.raises(Unreadable, match="add up to more than 1"):
        spread_of_tokens([token("4", 0.9, **{"5": 0.9})], FIVE)
    with pytest.raises(Unreadable, match="above 0"):
        spread_of_tokens([Token(text="4", logprob=0.5)], FIVE)
    assert spread_of_tokens([Token(text="4", logprob=0.0, top=(("4", 0.0), ("5", -9999.0)))], FIVE).mass == 1


def likelihoods(*chances):
    return [Continuation(token_logprobs=(math.log(chance / 2), math.log(2))) for chance in chances]


def test_continuations_with_and_without_a_space_add_up_and_bad_ones_are_refused():
    found = spread_of_continuations(likelihoods(0.1, 0.2, 0.3, 0.05), ["Yes", "No"])
    assert found.shares == pytest.approx({"Yes": 0.4, "No": 0.25})
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
