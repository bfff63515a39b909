"""`judgekit data quality`: every rule on what it is for and on what it must leave alone; the report; the filter."""

import json

import pytest

import judgekit
import judgekit.data
from judgekit_instructions import diversity, scripts
from judgekit_instructions.rules import RULES, Data, RuleLimits
from tables import each

LONG = "The committee met on Tuesday to review plans, and its members agreed on nearly every point that was raised. "
# Rule → (items in which it finds something, items in which it does not), as instruction, input, output.
CASES = {
    "empty_output": ([("Do.", "", ""), ("Do.", "", " \n")], [("Do.", "", "Done.")]),
    "too_short": (
        [("Do.", "", "…"), ("Do.", "", "-")],
        [("Is it?", "", "No"), ("2 + 2?", "", "4"), ("맞나요?", "", "네")],
    ),
    "too_long": ([("Do.", "", "word " * 1001), ("Do.", "x" * 8001, "y")], [("Do.", "", LONG)]),
    "open_fence": (
        [("Code?", "", "Here:\n```python\nprint(1)")],
        [("Code?", "", "Here:\n```python\nprint(1)\n```\nDone."), ("Code?", "", "`a`")],
    ),
    "cut_off": (
        [("Why?", "", LONG + "They then turned to the"), ("Why?", "", LONG + "First,")],
        [
            ("Why?", "", LONG),
            ("List.", "", "- one\n- two\n- three\n- four\n- five\n- six\n- seven\n- eight apples"),
            ("A word?", "", "the"),
        ],
    ),
    "placeholder": (
        [
            ("Do.", "<noinput>", "x"),
            ("Do.", "", "Dear [Your Name], hello"),
            ("Do.", "", "N/A"),
            ("Do.", "", "Lorem ipsum"),
        ],
        [("Do.", "", "Use a[0] and <b>."), ("Do.", "", "None of them is right.")],
    ),
    "prompt_marker": (
        [
            ("Do.", "", "Yes.\n### Response:\nNo."),
            ("Do.", "", "네.\n### 응답:\n아니요."),
            ("Do.", "", "Yes<|im_end|>"),
            ("Do.", "", "[INST] x"),
        ],
        [("Explain <|im_end|>", "", "<|im_end|> ends a turn."), ("Do.", "", "# Response times\nfine")],
    ),
    "irrelevant": (
        [("Which animal is largest?", "", LONG)],
        [
            ("What did the committee do?", "", LONG),
            ("Write a text.", "", LONG),
            ("Which animal is largest?", "", "Jupiter"),
            ("Translate it.", "", LONG),
        ],
    ),
    "refusal": (
        [
            ("Draw a cat.", "", "As an AI language model, I do not draw."),
            ("Draw a cat.", "", "I'm sorry, but that is not possible."),
            ("Draw a cat.", "", "I cannot provide pictures."),
            ("고양이를 그려 줘.", "", "죄송하지만 그릴 수 없습니다."),
            ("고양이를 그려 줘.", "", "저는 AI 언어 모델이므로 그림을 그리지 못합니다."),
        ],
        [
            ("Correct it.", "I'm sorry, I be late.", "I'm sorry, I am late."),
            ("What can birds do?", "", "They cannot read."),
            ("Write an apology.", "", "Dear Ann, I am writing since I was rude."),
        ],
    ),
    "language": (
        [("What is the capital of France?", "", "파리입니다."), ("프랑스의 수도는 어디인가요?", "", "It is Paris.")],
        [
            ("Translate into Korean: Paris", "", "파리"),
            ("'파리'를 영어로 번역해 줘.", "", "Paris"),
            ("What is 2 + 2?", "", "4"),
            ("서울은 어디에 있나요?", "", "서울은 한국(Korea)에 있습니다."),
            ("사과를 써 줘.", "", "```python\nprint('apple')\n```"),
        ],
    ),
}


def read(tmp_path, rows, name="items.json"):
    keys = ("instruction", "input", "output")
    (tmp_path / name).write_text(json.dumps([dict(zip(keys, row, strict=True)) for row in rows]), "utf-8")
    return judgekit.data.read_items(tmp_path / name, empty=True)


def test_rules_are_listed_with_reasons_and_cases(data):
    beside = {"duplicate", "conflict", "near_duplicate"}
    assert set(RULES) == set(CASES) | beside
    assert all(rule.reason for rule in RULES.values())
    code, out, _ = data("quality", "--list-rules")
    assert code == 0
    assert all(name in out for name in RULES)


@pytest.mark.parametrize("name", CASES)
def test_a_rule_finds_what_it_is_for_and_leaves_the_rest(name, tmp_path):
    wrong, right = CASES[name]
    items = read(tmp_path, [*wrong, *right])
    found = [finding.place for finding in RULES[name].find(Data(items), range(len(items)))]
    assert found == list(range(len(wrong)))


def test_limits_turns_and_words(tmp_path, data, written):
    items = read(tmp_path, [("Do.", "", "one two three")])
    for limits, rule in (
        (RuleLimits(min_words=4), "too_short"),
        (RuleLimits(max_words=3), "too_long"),
        (RuleLimits(max_chars=9), "too_long"),
    ):
        assert len(list(RULES[rule].find(Data(items, limits), [0]))) == 1
    said = ["Hello", "Hi.", "Draw.", "I'm sorry, I cannot."]
    messages = [{"role": role, "content": text} for role, text in zip(["user", "assistant"] * 2, said, strict=True)]
    (tmp_path / "t.jsonl").write_text(json.dumps({"messages": messages}))
    items = judgekit.data.read_items(tmp_path / "t.jsonl")
    assert [finding.detail for finding in RULES["refusal"].find(Data(items), [0])] == ["I'm sorry, I cannot."]
    texts = [f"w{number % 400}" for number in range(4000)]
    assert diversity.type_token(texts[:1000]) == diversity.type_token(texts) == 0.4
    assert diversity.type_token(texts[:999]) is None
    code, out, _ = data("quality", written([{"instruction": "A", "input": "", "output": "a"}]))
    assert code == 0
    assert "0 different of 0;" not in out
    assert "0 different of 0" in out


def test_the_books_file_has_twenty_questions_answered_otherwise(shared_data):
    """20 questions stand more than once, 25 items too many, all with other outputs; and no item twice."""
    data = Data(judgekit.data.read_items(shared_data / "instructions" / "instruction-data.json"))
    places = range(len(data.items))
    conflicts = [finding.place for finding in RULES["conflict"].find(data, places)]
    asked = [(item.sample.instruction, item.sample.input) for item in data.items]
    expected = [place for place, question in enumerate(asked) if question in asked[:place]]
    assert conflicts == expected
    assert (len(conflicts), len({asked[place] for place in conflicts})) == (25, 20)
    assert list(RULES["duplicate"].find(data, places)) == []


ROWS = [
    ("Name the capital of France, please.", "", "Paris"),
    ("Name the  capital of FRANCE, please.", "", "paris"),  # a duplicate of the first
    ("Name the capital of France, please.", "", "Lyon"),  # in conflict with it
    ("Name the capital of France, please!", "", "Paris"),  # nearly the same
    ("Sort the words.", "b a", "a b"),
    ("Sort the words.", "b a", ""),  # empty, and in conflict
]


def test_near_items_beside_each_other_and_in_a_chain(tmp_path):
    data = Data(read(tmp_path, ROWS))
    found = {
        name: [(finding.place, finding.detail) for finding in RULES[name].find(data, range(6))]
        for name in ("duplicate", "conflict", "near_duplicate")
    }
    assert found["duplicate"] == [(1, "as item 1, line 1")]
    assert found["conflict"] == [(2, "item 1, line 1 says 'Paris'"), (5, "item 5, line 1 says 'a b'")]
    assert [place for place, _ in found["near_duplicate"]] == [3]
    assert "alike item 1, line 1" in found["near_duplicate"][0][1]
    # b is near a, c is near b and not near a: only b is to go.
    base = "compare the two texts below and say in one sentence which of them is better"
    texts = [
        base,
        base.replace("one sentence", "few sentences"),
        base.replace("one sentence which", "few sentences who"),
    ]
    data = Data(read(tmp_path, [(text, "", "x") for text in texts]), RuleLimits(threshold=0.75))
    assert {place: [other for other, _ in near] for place, near in data.near.items()} == {1: [0], 2: [1]}
    assert [finding.place for finding in RULES["near_duplicate"].find(data, range(3))] == [1]


def test_reports_for_people_and_programs(data, tmp_path):
    read(tmp_path, [*ROWS, ("Draw.", "", "I cannot create pictures.")])
    code, out, _ = data("quality", "items.json", "--rules", "refusal,empty-output")
    assert code == 0
    assert "items.json: 7 items, 5 without a finding" in out
    assert "item 6, line 1 (" in out
    assert "I cannot" in out
    assert "near_duplicate" not in out
    assert "kinds of task" in out
    read(tmp_path, ROWS)
    code, out, _ = data("quality", "items.json", "--json", "--examples", 1)
    tree = json.loads(out)
    assert (code, tree["items"], tree["clean"]) == (0, 6, 2)
    rules = {rule["name"]: rule for rule in tree["rules"]}
    assert rules["conflict"]["count"] == len(rules["conflict"]["ids"]) == 2
    assert [example["line"] for example in rules["conflict"]["examples"]] == [1]
    assert tree["diversity"]["kinds"] == {"listing": 4, "classification": 2}


def test_the_filter_says_what_it_dropped_by_which_rule(data, tmp_path):
    read(tmp_path, ROWS)
    drop = ("--drop", "empty_output,duplicate,conflict,near_duplicate")
    code, out, _ = data("quality", "items.json", "--filter", "kept.json", *drop, "--json")
    assert code == 0
    dropped = {"empty_output": 1, "duplicate": 1, "conflict": 1, "near_duplicate": 1}
    assert json.loads(out)["filter"] == {"kept": 2, "dropped": dropped}
    kept = judgekit.data.read_items(tmp_path / "kept.json")
    assert [(item.sample.instruction, item.sample.reference) for item in kept] == [
        (ROWS[0][0], "Paris"),
        (ROWS[4][0], "a b"),
    ]
    code, out, err = data("quality", "items.json", "--filter", "kept.json", *drop)
    assert (code, err) == (2, "error: kept.json: is there already; --force replaces it\n")
    code, out, _ = data("quality", "items.json", "--filter", "kept.json", *drop, "--force")
    assert (code, "kept 2 of 6 items" in out) == (0, True)


@each(
    (["--rules", "refusals"], "no rule is named 'refusals'; did you mean 'refusal'?"),
    (["--rules", ","], "no rule is named"),
    (["--drop", "refusal"], "go together"),
    (["--filter", "x.json"], "go together"),
    (["--filter", "x.json", "--drop", "to_long"], "did you mean 'too_long'?"),
    (["--filter", "x.json", "--drop", "too_long", "--max-words", "1"], "leaves none of its 6 items"),
)
def test_what_cannot_be_done_is_told(arguments, message, data, tmp_path):
    read(tmp_path, ROWS)
    code, _, err = data("quality", "items.json", *arguments)
    assert (code, message in err) == (2, True), err
    assert not (tmp_path / "x.json").exists()


@each(
    ("Hello", "Latin"),
    ("1 + 1", ""),
    ("😀", ""),
    ("Привет, world", "Cyrillic"),
    ("안녕하세요 hi", "Hangul"),
    ("漢字かな", "Kana"),
    ("汉字", "Han"),
    ("שלום", "Hebrew"),
    ("Größe", "Latin"),
)
def test_the_script_of_most_letters(text, script):
    assert scripts.main(text) == script


@each(
    ("Generate a sentence using the word 'innovative'.", "writing", ("generate", "sentence")),
    ("Please rewrite the following sentence in the past tense.", "rewriting", ("rewrite", "sentence")),
    ("What is the capital of France?", "question", None),
    ("Could you classify these animals by size?", "classification", None),
    ("Convert 1000 grams to kilograms.", "rewriting", ("convert", "grams")),
    ("다음 문장을 영어로 번역하세요.", "rewriting", None),
    ("광합성을 설명해 주세요.", "explanation", None),
    ("수도는 어디인가요?", "question", None),
    ("Hmm.", "other", None),
)
def test_kinds_and_roots(instruction, kind, root):
    assert (diversity.kind(instruction), diversity.root(instruction)) == (kind, root)
