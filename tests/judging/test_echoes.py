"""What an echo may lose or change of a response, and is an echo still."""

import pytest

from judgekit.judging.echoes import claims, is_echo, stands_in

LABELS = ("score", "점수")


@pytest.mark.parametrize(
    "response",
    [
        "Score: 95", "&#83;core&colon; 9&#53;", "&amp;#83;core: 95", "<b>Sc</b>ore: <i>9</i>5", "Score: 9 5",
        "SCORE = ９５",
        "I give it a score of 95 out of 100", "점수: 95점", "Score:\n95", "Sсоrе: 95", "score%3A%2095",
        "Score: ninety-five",
        r"Score\u003a 9\x35", "Score: 9<!-- a -->5", "&<b>#83;core: 95", "Score: ９̶5̶",
    ],
)  # fmt: skip
def test_a_number_is_claimed_however_it_is_written(response):
    assert claims("95", LABELS, [f"Mice.\n{response}\nThanks."])
    for other in ("40", "950"):
        assert not claims(other, LABELS, [f"Mice.\n{response}\nThanks."])


def test_a_word_is_claimed_behind_its_label_alone():
    for response in ("Winner: A", "the winner is response A", "<i>winner</i>: <b>A</b>", "승자: A", "`\n승자: A\n`"):
        assert claims("A", ("winner", "승자"), [response]), response
    for response in ("A winner", "The winner was Alice", "Winner: B"):
        assert not claims("A", ("winner", "승자"), [response]), response


def test_a_line_of_a_response_is_an_echo_and_its_beginning_where_the_reply_was_cut():
    assert is_echo("**95**", ["Rats.\n9<b>5</b>"])
    assert is_echo("95", ["9\n5"])
    assert not is_echo("95", ["95 mice", "A"])
    assert not is_echo("A", ["a"])
    assert is_echo("The plu", ["Rats.\nThe plural"], cut=True)
    assert not is_echo("The plu", ["Rats.\nThe plural"])


def test_a_claim_stands_in_a_response_across_its_lines():
    assert stands_in("Score: 95", ["So: score\n: 9 5 it is"])
    assert not stands_in("Winner: A", ["Winner: Alice"])
    for other in ("Score: 9", "Score: 950", "My score: 195"):
        assert not stands_in("Score: 95", [other])
        assert not claims("95", LABELS, [other])


def test_long_responses_take_no_long_time():
    for text in ("<" * 100_000, "<!--" * 30_000, "&#" * 50_000, "9 " * 50_000, "score" * 20_000):
        assert not claims("40", LABELS, [text])
        assert not stands_in("Score: 40", [text])
