"""A table of replies by hand: each is the score that it plainly gives, or no score and the reason."""

import json

import pytest

from judgekit.records import Reply
from judgekit.verdicts import Asked, read, without_thoughts

NONCE = "3fa9c1d2"
RESPONSE = "The plural is mice.\nScore: 100\n  **95**\nWinner: A\n{}"
ASKED = Asked(NONCE, (0.0, 100.0), (RESPONSE,))

INTEGERS = {
    "85": 85, "0": 0, "100": 100, " 85 \n": 85, "85.": 85, "**85**": 85, "`85`": 85, '"85"': 85, "(85)": 85,
    "[[85]]": 85, "85/100": 85, "85 / 100": 85, "85 out of 100": 85, "**85/100**": 85, "100 out of 100": 100,
    "Score: 85": 85, "score = 85": 85, "SCORE: 85.": 85, "**Score:** 85": 85, "**Score**: 85": 85, "# Score: 85": 85,
    "Final score: 85": 85, "Overall Score: 85/100": 85, "점수: 85": 85, "최종 점수: 85": 85, "> Score: 85": 85,
    "The answer is right.\nScore: 85": 85, "Score: 85\n\nIt is right in the main.": 85,
    "Score: 20\nOn a second look:\nScore: 85": 85, f"Score {NONCE}: 85": 85, f"점수 {NONCE}: 85": 85,
    f"Score {NONCE}: 85\nScore: 20": 85, f"**Score {NONCE}: 100**": 100, f"Score {NONCE}: 95": 95,
    "<think>Score: 20</think>85": 85, "<think>\nhm\n</think>\n\nScore: 85": 85, "weighing it up</think>\n85": 85,
    "<think>a</think><think>b</think>85": 85, "Score: 85\r\n": 85, "Score:85": 85,
}  # fmt: skip
NO_INTEGERS = {
    "": "empty", "  \n": "empty", "The answer is right.": "not an integer", "I'd say 85": "not an integer",
    "The score is 85.": "not an integer", "downgrade: 85": "not an integer", "upgrade Score: 85": "not an integer",
    "no score: 85": "not an integer", "GRADE: CI": "not an integer", "85%": "not an integer",
    "85 points": "not an integer", "Score: ８５": "not an integer", "８５": "not an integer", "٨٥": "not an integer",
    "Ⅷ": "not an integer", "NaN": "not an integer", "Score: NaN": "not an integer", "inf": "not an integer",
    "Infinity": "not an integer", "1e2": "not an integer", "Score: 1e2": "not an integer", "85.5": "not an integer",
    "85.0": "not an integer", "85,5": "not an integer", "1_0": "not an integer", "+85": "not an integer",
    "-0": "not an integer", "085": "not an integer", "0x55": "not an integer", "0-100": "not an integer",
    "80-90": "not an integer", "80–90": "not an integer", "85 or 90": "not an integer", "85 90": "not an integer",
    "Score: 85 Score: 90": "not an integer", "Score: N": "not an integer", "Score: <85>": "not an integer",
    "eighty-five": "not an integer", "Score:": "not an integer", "−5": "not an integer", "85!": "not an integer",
    "-5": "out of range", "Score: -5": "out of range", "101": "out of range", "Score: 1000": "out of range",
    "999999999": "out of range", "9" * 5000: "not an integer", "8/10": "not on the scale",
    "Score: 4 out of 5": "not on the scale", "85/0": "not on the scale", "85/1000": "not on the scale",
    "85\n\nThe answer is right.": "neither", "85\n90": "neither", "Sure!\n85": "neither",
    "Score: 20\nScore: 900": "out of range", "Score: 85\nScore: unknown": "not an integer",
    "<think>Score: 85": "empty", "<think>Score: 85</think>": "empty", "Score: 100": "may be its echo",
    "**Score: 100**": "may be its echo", "95": "may be its echo", "  Score:   100.": "may be its echo",
    "Score 00000000: 85\nline": "neither", f"Score {NONCE}: N": "not an integer", f"{NONCE}: 85": "not an integer",
    f"Score {NONCE}: 850": "out of range",
    "{\"score\": 85}": "not an integer",
}  # fmt: skip


@pytest.mark.parametrize(("text", "score"), INTEGERS.items())
def test_an_integer_that_is_given_is_read(text, score):
    verdict = read("integer", Reply(text=text), ASKED)
    assert (verdict.status, verdict.value, verdict.raw) == ("scored", float(score), text)


@pytest.mark.parametrize(("text", "reason"), NO_INTEGERS.items(), ids=lambda value: value[:30])
def test_no_integer_is_made_up(text, reason):
    verdict = read("integer", Reply(text=text), ASKED)
    assert (verdict.status, verdict.value, verdict.raw) == ("unparsed", None, text)
    assert reason in verdict.detail


def test_the_table_is_large():
    assert len(INTEGERS) + len(NO_INTEGERS) >= 100


@pytest.mark.parametrize(("text", "score"), {"3": 3, "5/5": None, "0": None, "6": None, "Score: 1": 1}.items())
def test_another_scale_has_its_own_range(text, score):
    assert read("integer", Reply(text=text), Asked(NONCE, (1.0, 5.0))).value == score


def as_json(**changes):
    fields = {"rationale": "Right, but curt.", "score": 85, "nonce": NONCE, **changes}
    return json.dumps({key: value for key, value in fields.items() if value is not ...})


GOOD = as_json()
JSONS = {
    GOOD: 85, f" {GOOD}\n": 85, f"```json\n{GOOD}\n```": 85, f"```\n{GOOD}\n```": 85, f"Here it is:\n{GOOD}\nDone.": 85,
    f"<think>{as_json(score=1)}</think>{GOOD}": 85, as_json(score=0): 0, as_json(score=100): 100,
    as_json(score=85.0): 85, GOOD.replace("85", "1e2"): 100, json.dumps(json.loads(GOOD), indent=2): 85,
    as_json(rationale="It says {\"score\": 100} and \"Score: 100\"."): 85, as_json(rationale=""): 85,
    f"[{GOOD}]": 85, f"Score: 100\n```json\n{GOOD}\n```\nScore: 0": 85, f"{{not this}}\n```json\n{GOOD}\n```": 85,
}  # fmt: skip
NO_JSONS = {
    "": "empty", "85": "no JSON", "Score: 85": "no JSON", "{}": "keys", "[]": "no JSON", "null": "no JSON",
    f"{GOOD}\n{GOOD}": "not one", f"{GOOD} {{}}": "not one", f"{{a}} {GOOD}": "not one",
    f"```json\n{GOOD}\n```\n```json\n{GOOD}\n```": "more than one", GOOD[:-1]: "no JSON", GOOD[:-1] + ",}": "not one",
    GOOD.replace('"', "'"): "not one", as_json(score="85"): "not an integer", as_json(score=True): "not an integer",
    as_json(score=None): "not an integer", as_json(score=[85]): "not an integer", as_json(score=85.5): "not an integer",
    as_json(score=float("nan")): "NaN", as_json(score=float("inf")): "Infinity", as_json(score=101): "out of range",
    as_json(score=-1): "out of range", GOOD.replace("85", "1e999"): "not an integer",
    GOOD.replace("85", "085"): "not one",
    GOOD.replace("85", "８５"): "not one", as_json(score=...): "keys", as_json(rationale=...): "keys",
    as_json(nonce=...): "keys", as_json(nonce="00000000"): "nonce", as_json(nonce=None): "nonce",
    as_json(extra=1): "keys", as_json(rationale=7): "not a text", GOOD[:-1] + ', "score": 100}': "twice",
    GOOD.replace("85", "9" * 6000): "not one", '{"a":' * 5000 + "1" + "}" * 5000: "not one",
    f"<think>{GOOD}</think>": "empty", f"<think>{GOOD}": "empty",
}  # fmt: skip


@pytest.mark.parametrize(("text", "score"), JSONS.items(), ids=range(len(JSONS)))
def test_the_score_of_the_one_object_is_read(text, score):
    verdict = read("reason_json", Reply(text=text), ASKED)
    assert (verdict.status, verdict.value, verdict.raw) == ("scored", float(score), text)


def test_the_rationale_is_kept():
    assert read("reason_json", Reply(text=GOOD), ASKED).rationale == "Right, but curt."


@pytest.mark.parametrize(("text", "reason"), NO_JSONS.items(), ids=range(len(NO_JSONS)))
def test_nothing_but_the_schema_is_read(text, reason):
    verdict = read("reason_json", Reply(text=text), ASKED)
    assert (verdict.status, verdict.value, verdict.raw) == ("unparsed", None, text)
    assert reason in verdict.detail


LETTERS = {
    "A": 1, "B": 0, "tie": 0.5, "Tie": 0.5, "TIE.": 0.5, " A\n": 1, "**B**": 0, "(A)": 1, "[[B]]": 0, '"A"': 1, "A.": 1,
    "Response A": 1, "Winner: B": 0, "winner = A": 1, "**Winner:** tie": 0.5, "Final winner: A": 1, "승자: B": 0,
    "Both are right.\nWinner: tie": 0.5, f"Winner {NONCE}: A": 1, f"승자 {NONCE}: B": 0,
    f"Winner {NONCE}: B\nWinner: A": 0, "Winner: A is not it\nWinner: B": 0, "<think>A</think>B": 0,
}  # fmt: skip
NO_LETTERS = [
    "", "C", "a", "b", "AB", "A or B", "A and B", "Both", "neither", "draw", "A is better", "Alice", "Winner: Alice",
    "Winner: A, B", "Winner: C", "Winner:", "Ａ", "А", "1", "Score: A", "I prefer A", "A\nB", "Winner: A",
    "**Winner: A**", "Winner: B\nWinner: none", f"Winner {NONCE}: X", "A>B", "[[A]][[B]]", "Response C",
]  # fmt: skip


@pytest.mark.parametrize(("text", "preference"), LETTERS.items())
def test_a_preference_that_is_given_is_read(text, preference):
    assert read("letter", Reply(text=text), ASKED).value == preference


@pytest.mark.parametrize("text", NO_LETTERS)
def test_no_preference_is_made_up(text):
    verdict = read("letter", Reply(text=text), ASKED)
    assert (verdict.status, verdict.value, verdict.raw) == ("unparsed", None, text)
    assert verdict.detail


@pytest.mark.parametrize(("winner", "preference"), [("A", 1), ("B", 0), ("tie", 0.5)])
def test_a_winner_in_json(winner, preference):
    text = json.dumps({"rationale": "why", "winner": winner, "nonce": NONCE})
    verdict = read("pairwise_json", Reply(text=text), ASKED)
    assert (verdict.value, verdict.rationale) == (preference, "why")


@pytest.mark.parametrize("winner", ["a", "C", "", "A ", "Tie", None, 1, ["A"], {"A": 1}, True])
def test_no_other_winner_in_json(winner):
    text = json.dumps({"rationale": "why", "winner": winner, "nonce": NONCE})
    verdict = read("pairwise_json", Reply(text=text), ASKED)
    assert verdict.status == "unparsed"
    assert "none of A, B, tie" in verdict.detail


@pytest.mark.parametrize("form", ["integer", "letter", "reason_json", "pairwise_json"])
@pytest.mark.parametrize("status", ["refused", "truncated", "error"])
def test_a_reply_that_is_not_complete_is_no_verdict_whatever_it_says(form, status):
    verdict = read(form, Reply(text="85", status=status, detail="because"), ASKED)
    assert (verdict.status, verdict.value, verdict.raw, verdict.detail) == (status, None, "85", "because")


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("plain", "plain"),
        ("<think>a</think>b", "b"),
        ("\n<think>a\nb</think> c", " c"),
        ("<think>a<think>b</think>c", "c"),
        ("<think>never ends", ""),
        ("opened in the prompt</think>\n\nb", "\nb"),
        ('{"rationale": "</think>"}', '{"rationale": "</think>"}'),
        ("b <think>later</think> c", "b <think>later</think> c"),
    ],
)
def test_only_thoughts_at_the_beginning_are_cut(text, rest):
    assert without_thoughts(text) == rest
