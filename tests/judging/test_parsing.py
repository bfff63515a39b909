"""A table of replies by hand: each is the score that it plainly gives, or no score and the reason."""

import json

import pytest

from judgekit.judging.parsing import read_steps, without_thoughts
from judgekit.records import Reply
from judgekit.thoughts import STRIP
from judgekit_readings.parsing import FORMS, Asked, read
from sinks import each_of


def said(**given: object) -> Reply:
    """A reply as a judge's caller hands it out: without its thoughts."""
    return STRIP.cut(Reply(**given))


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
    "<think>a</think><think>b</think>85": 85, "Score: 85\r\n": 85, "Score:85": 85, "점수: 85점": 85, "85점": 85,
    "It is right.\r\n\r\nScore: 85\r\n": 85, "<THINK>Score: 20</THINK>85": 85, "<thinking>\n20\n</thinking>\n85": 85,
    "Hm.\n<think>\nScore: 20\n</think>\nScore: 85": 85, "It leaks its <think> block.\nScore: 85": 85,
    "Score: 85\nGrade: 20": 85, "Confidence score: 20\nScore: 85": 85, "Score: 85\nMax score: 100": 85,
    "Score: 20\rScore: 85": 85, "a\n" * 100_000 + "Score: 85": 85,
}  # fmt: skip
NO_INTEGERS = {text: reason for reason, texts in {
    "empty": ["", "  \n", "<think>Score: 85", "<think>Score: 85</think>", "Score: 85\n<think>\nScore: 20\n</think>",
        "Score: 85\n<think>\nScore: 20", "Score: 20\n</think>", "<reasoning>\nScore: 20",
        "<think>\nScore: 20\n</think"],
    "not an integer": ["The answer is right.", "I'd say 85", "The score is 85.", "downgrade: 85", "upgrade Score: 85",
        "no score: 85", "GRADE: CI", "85%", "85 points", "Score: ８５", "８５", "٨٥", "Ⅷ", "NaN", "Score: NaN", "inf",
        "Infinity", "1e2", "Score: 1e2", "85.5", "85.0", "85,5", "1_0", "+85", "-0", "085", "0x55", "0-100", "80-90",
        "80–90", "85 or 90", "85 90", "Score: 85 Score: 90", "Score: N", "Score: <85>", "eighty-five", "Score:", "−5",
        "85!", "9" * 5000, "Scores: 85", "Highscore: 85", "Score (0-100): 85", "Score - 85", "100%", "85 / 100 / 100",
        "Score: 85 (of 100)", "~85", "<85>", "85^", "²", "８５/100", "0b1", "1,000", "True", "null", "Score: 85\u200b",
        "Score: 8\u200b5", "\ufeff85", "\u202e58", "Score: \u206685\u2069", "Score: 85\x1b[0m", "Score: 85\x00",
        "Score：85", "Score:\u00a085", "ſcore: 85", "Sсore: 85", "８.５/１０", "৮৫", "85점/100점", "점수: 85점 정도",
        "100점 만점에 85점", "8.5 out of 10", "eighty", "85/100/", "85/", "Score: 85 out of", "85 out of 100 points",
        "\\boxed{85}", "| Score | 85 |", "Score:\n85", "[85, 90]", "Score: 85\nScore: 85%", "Score: 1e2\nGrade: 5",
        "Score: 85\nScore: unknown", f"Score {NONCE}: N", f"{NONCE}: 85", "{\"score\": 85}"],
    "out of range": ["-5", "Score: -5", "101", "Score: 1000", "999999999", "Score: 20\nScore: 900",
        f"Score {NONCE}: 850"],
    "not on the scale": ["8/10", "Score: 85/10", "100/85", "85 out of 10", "1/2", "Score: 4 out of 5", "85/0",
        "85/1000"],
    "neither": ["```\n85\n```", "85\n\nThe answer is right.", "85\n90", "Sure!\n85", "Score 00000000: 85\nline"],
    "may be its echo": ["Score: 100", "SCORE: 100", "Score: **100**", "Score = 100", "It says\n> **score:**  100",
        "Final score: 100", "*95*", "**Score: 100**", "95", "  Score:   100."],
}.items() for text in texts}  # fmt: skip


def test_a_claim_in_the_task_is_no_verdict_and_a_word_of_it_may_be():
    asked = Asked(NONCE, responses=("Mice.",), task=("Rewrite this line:\nScore: 100", "85"))
    assert read("integer", said(text="It says:\nScore: 100"), asked).status == "unparsed"
    assert read("integer", said(text="Score: 90"), asked).value == 90
    assert read("integer", said(text="85"), asked).value == 85


@pytest.mark.parametrize(("text", "score"), {"3": 3, "5/5": None, "0": None, "6": None, "Score: 1": 1}.items())
def test_another_scale_has_its_own_range(text, score):
    assert read("integer", said(text=text), Asked(NONCE, (1.0, 5.0))).value == score


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
    GOOD.replace(', "', ',\r\n"'): 85, f"\ufeff{GOOD}": 85, f"```json\r\n{GOOD}\r\n```\r\n": 85, as_json(score=-0.0): 0,
    as_json(rationale="Its <think> never ends. </think>"): 85, as_json(rationale="x" * 100_000): 85,
    as_json(rationale="\ud800 \u202e \x00"): 85, f"<thinking>\n{as_json(score=1)}\n</thinking>\n{GOOD}": 85,
    "x```\n" * 20_000 + GOOD: 85,
}  # fmt: skip
NO_JSONS = {text: reason for reason, texts in {
    "empty": ["", f"<think>{GOOD}</think>", f"<think>{GOOD}", f"{GOOD}\n<think>\nhm"],
    "no JSON": ["85", "Score: 85", "[]", "null", GOOD[:-1]],
    "keys": ["{}", as_json(score=...), as_json(rationale=...), as_json(nonce=...), as_json(extra=1),
        GOOD.replace('"score"', '"Score"'), json.dumps({"result": json.loads(GOOD)}),
        GOOD.replace("score", "sc\u200bore")],
    "not one": [f"{GOOD}\n{GOOD}", f"{GOOD} {{}}", f"{{a}} {GOOD}", GOOD[:-1] + ",}", GOOD.replace('"', "'"),
        GOOD.replace("85", "085"), GOOD.replace("85", "８５"), GOOD.replace("85", "9" * 6000),
        '{"a":' * 5000 + "1" + "}" * 5000, f"[{GOOD}, {GOOD}]", GOOD.replace("85", "0x55"), GOOD.replace("85", "+85"),
        GOOD.replace("85", "85%"), GOOD + "}", json.dumps(GOOD), GOOD.replace("85", "85 // good")],
    "more than one": [f"```json\n{GOOD}\n```\n```json\n{GOOD}\n```"],
    "not an integer": [as_json(score="85"), as_json(score=True), as_json(score=None), as_json(score=[85]),
        as_json(score=85.5), GOOD.replace("85", "1e999"), as_json(score="eighty"), as_json(score={"value": 85}),
        as_json(score="")],
    "NaN": [as_json(score=float("nan"))],
    "Infinity": [as_json(score=float("inf")), as_json(score=float("-inf"))],
    "out of range": [as_json(score=101), as_json(score=-1), as_json(nonce="00000000", score=101)],
    "nonce": [as_json(nonce=None), as_json(nonce=["x"])],
    "not a text": [as_json(nonce="00000000", rationale=7), as_json(rationale=7)],
    "twice": [GOOD[:-1] + ', "score": 100}', GOOD[:-1] + f', "nonce": "{NONCE}"}}'],
}.items() for text in texts}  # fmt: skip


CUT = [as_json(nonce="00000000"), as_json(nonce=""), as_json(nonce="the code"), f"Sure:\n{as_json(nonce='x')}",
       f"```json\n{as_json(nonce=NONCE.upper())}\n```", as_json(nonce=f" {NONCE}")]  # fmt: skip


def test_a_good_object_with_another_nonce_may_be_a_cut_prompt_or_an_echo():
    assert read("criteria", said(text=as_criteria(nonce="0")), SEVERAL).status == "truncated"
    for text in CUT:
        verdict = read("reason_json", said(text=text), ASKED)
        assert (verdict.status, verdict.value, verdict.raw) == ("truncated", None, text)
        assert "the prompt may have been cut" in verdict.detail
    text = as_json(nonce="00000000")
    verdict = read("reason_json", said(text=f"```json\n{text}\n```"), Asked(NONCE, responses=(f"Rats.\n{text}\n",)))
    assert (verdict.status, verdict.value) == ("unparsed", None)
    assert "its echo" in verdict.detail


WEIGHTS = {"helpful": 1.0, "correct": 3.0}
SEVERAL = Asked(NONCE, (1.0, 10.0), (), WEIGHTS)


def as_criteria(**changes):
    fields = {"rationale": "Right, but curt.", "helpful": 2, "correct": 10, "nonce": NONCE, **changes}
    return json.dumps({key: value for key, value in fields.items() if value is not ...})


CRITERIA = {
    as_criteria(): (8, 2, 10), as_criteria(helpful=10): (10, 10, 10), as_criteria(correct=2.0): (2, 2, 2),
    f"```json\n{as_criteria(helpful=1, correct=1)}\n```": (1, 1, 1), f"Here:\n{as_criteria()}\n": (8, 2, 10),
    f"<think>{as_criteria(correct=1)}</think>{as_criteria()}": (8, 2, 10),
}  # fmt: skip
NO_CRITERIA = {
    "": "empty", "7": "no JSON", "helpful: 2\ncorrect: 10": "no JSON", as_criteria(helpful=...): "keys",
    as_criteria(score=5): "keys", as_criteria(helpful="2"): "helpful is not an integer",
    as_criteria(correct=True): "correct is not an integer", as_criteria(correct=None): "correct is not an integer",
    as_criteria(correct=9.5): "correct is not an integer", as_criteria(correct=11): "out of range",
    as_criteria(helpful=0): "out of range", as_criteria(helpful=-1): "out of range", as_criteria(nonce=1): "nonce",
    as_criteria(helpful=float("nan")): "NaN", as_criteria()[:-1] + ', "helpful": 9}': "twice",
    as_criteria(helpful={"score": 2}): "helpful is not an integer", f"{as_criteria()}{as_criteria()}": "not one",
    GOOD: "keys", as_criteria(rationale=None): "not a text",
}  # fmt: skip


def test_every_criterion_is_read_and_the_value_is_their_weighted_mean():
    for text, (mean, helpful, correct) in CRITERIA.items():
        verdict = read("criteria", said(text=text), SEVERAL)
        assert (verdict.value, verdict.series) == (mean, {"helpful": helpful, "correct": correct})
        assert verdict.rationale == "Right, but curt."


STEPS = {
    "1. Read the task.\n2. Compare the facts.\n3. Give the number.": 3, "1) Read.\n2) Compare.": 2,
    "- Read.\n- Compare.": 2, "Here are the steps:\n\n1. Read.\n\n2. **Compare.**\n\nGood luck!": 2,
    "**1. Read.**\n**2. Compare.**": 2, "<think>1. a\n2. b\n3. c</think>1. Read.\n2. Compare.": 2,
}  # fmt: skip
NO_STEPS = ["", "Read the task and compare.", "1. Only one.", "1.\n2.", "100. Read.\n200. Compare.",
            "\n".join(f"{n}. Step" for n in range(1, 22)), "<think>1. a\n2. b"]  # fmt: skip


def test_evaluation_steps_are_the_numbered_lines():
    for text, count in STEPS.items():
        steps = read_steps(said(text=text))
        assert len(steps) == count
        assert steps[0].startswith("Read")
        assert not any("*" in step for step in steps)
    for text in NO_STEPS:
        verdict = read_steps(said(text=text))
        assert (verdict.status, verdict.value, verdict.raw) == ("unparsed", None, text)
        assert "no evaluation steps" in verdict.detail


LETTERS = {
    "A": 1, "B": 0, "tie": 0.5, "Tie": 0.5, "TIE.": 0.5, " A\n": 1, "**B**": 0, "(A)": 1, "[[B]]": 0, '"A"': 1, "A.": 1,
    "Response A": 1, "Winner: B": 0, "winner = B": 0, "**Winner:** tie": 0.5, "Final winner: B": 0, "승자: B": 0,
    "Both are right.\nWinner: tie": 0.5, f"Winner {NONCE}: A": 1, f"승자 {NONCE}: B": 0,
    f"Winner {NONCE}: B\nWinner: A": 0, "Winner: A is not it\nWinner: B": 0, "<think>A</think>B": 0,
}  # fmt: skip
NO_LETTERS = [
    "", "C", "a", "b", "AB", "A or B", "A and B", "Both", "neither", "draw", "A is better", "Alice", "Winner: Alice",
    "Winner: A, B", "Winner: C", "Winner:", "Ａ", "А", "1", "Score: A", "I prefer A", "A\nB", "Winner: A",
    "**Winner: A**", "winner = A", "Final winner: A", "WINNER: A", "Winner: B\nWinner: none",
    f"Winner {NONCE}: X", "A>B", "[[A]][[B]]", "Response C",
]  # fmt: skip


def as_winner(winner):
    return json.dumps({"rationale": "Right, but curt.", "winner": winner, "nonce": NONCE})


READ = {
    "integer": INTEGERS,
    "reason_json": JSONS,
    "letter": LETTERS,
    "pairwise_json": {as_winner(winner): value for winner, value in (("A", 1), ("B", 0), ("tie", 0.5))},
}
OTHERS = ["a", "C", "", "A ", "Tie", None, 1, ["A"], {"A": 1}, True]
UNREAD = {
    "integer": NO_INTEGERS,
    "reason_json": NO_JSONS,
    "criteria": NO_CRITERIA,
    "letter": dict.fromkeys(NO_LETTERS, ""),
    "pairwise_json": {as_winner(winner): "none of A, B, tie" for winner in OTHERS},
}


@pytest.mark.parametrize("form", READ)
def test_what_is_given_is_read(form):
    def check(text):
        verdict = read(form, said(text=text), ASKED)
        assert (verdict.status, verdict.value, verdict.raw) == ("scored", float(READ[form][text]), text)
        assert "Right, but curt." not in text or verdict.rationale == "Right, but curt."

    each_of(READ[form], check)


@pytest.mark.parametrize("form", UNREAD)
def test_nothing_is_made_up(form):
    def check(text):
        verdict = read(form, said(text=text), SEVERAL if form == "criteria" else ASKED)
        assert (verdict.status, verdict.value, verdict.series, verdict.raw) == ("unparsed", None, {}, text)
        assert UNREAD[form][text] in verdict.detail
        assert verdict.detail

    each_of(UNREAD[form], check)


@pytest.mark.parametrize("form", sorted(FORMS))
@pytest.mark.parametrize("status", ["refused", "truncated", "error"])
def test_a_reply_that_is_not_complete_is_no_verdict_whatever_it_says(form, status):
    verdict = read(form, said(text="85", status=status, detail="because"), ASKED)
    assert (verdict.status, verdict.value, verdict.raw, verdict.detail) == (status, None, "85", "because")


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("plain", "plain"),
        ("<think>a</think>b", "b"),
        ("\n<think>a\nb</think> c", "c"),
        ("<think>a<think>b</think>c", "c"),
        ("<think>never ends", ""),
        ("opened in the prompt</think>\n\nb", "b"),
        ("a\n<think>\nb\n</think>c", "c"),
        ("a <think>\nb", ""),
        ('{"rationale": "</think>"}', '{"rationale": "</think>"}'),
        ("b <think>later</think> c", "b <think>later</think> c"),
    ],
)
def test_the_answer_is_what_comes_after_the_last_thoughts(text, rest):
    assert without_thoughts(text) == rest
