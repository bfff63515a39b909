"""What models write, read without guessing; and the rules, each on a case of its own."""

from hypothesis import given
from hypothesis import strategies as st

import judgekit
import judgekit.data
from judgekit_synthesis import filters
from judgekit_synthesis.novelty import Novelty
from judgekit_synthesis.reading import Instance, added, instances, numbered, opened, yes_or_no
from tables import each


def test_what_models_write_is_read_and_ruled():
    text = "Sure!\n9. Name  a tree.\n10) Rank\n\n Task 11: Plan a day.\nand more\n과제 12. 나무를 설명하세요."
    assert numbered(text) == ["Name a tree.", "Rank", "Plan a day.", "나무를 설명하세요."]
    assert numbered(text, cut=True) == ["Name a tree.", "Rank", "Plan a day."]
    assert numbered("no list") == []
    assert instances("Input: a\nOutput: b\nb2\n") == [Instance("a", "b\nb2")]
    assert instances("Task: t\nInput: (none)\nOutput: b\n\nTask: u\nInput: c\nOutput: d") == [Instance("", "b")]
    assert instances("Output: b") == [Instance("", "b")]
    assert instances("Input: a") == instances("The answer is b.") == []
    assert instances("입력: 없음\n출력: 답") == [Instance("", "답")]
    labelled = instances("Output: good\nInput: a\n\nOutput: bad\nInput: b", labelled=True)
    assert labelled == [Instance("a", "good"), Instance("b", "bad")]
    assert instances("Output: good", labelled=True) == [], "a label without what it is the label of"
    turn = judgekit.Message(role="assistant", content="1. One\n2.")
    request = judgekit.Request(messages=(judgekit.Message(role="user", content="List."), turn))
    for text in (" Two\n3. Three", "1. One\n2. Two\n3. Three", "Two\n3. Three"):
        reply = judgekit.Reply(text=text)
        assert opened(request, reply) == "2. Two\n3. Three"
        assert added(request, reply).strip() == "Two\n3. Three"
    plain = judgekit.Request(messages=(judgekit.Message(role="user", content="List."),))
    assert opened(plain, judgekit.Reply(text="1. x")) == added(plain, judgekit.Reply(text="1. x")) == "1. x"
    assert filters.instance_fault(Instance("a", "b"), "Do.") == ""
    assert filters.instance_fault(Instance("a", " "), "Do.") == "no output"
    assert filters.instance_fault(Instance("A ", "a."), "Do.") == "output equals input"
    assert filters.instance_fault(Instance("", "do"), "Do.") == "output equals the task"
    assert filters.instance_fault(Instance("a:", "b"), "Do.") == "example ends in a colon"
    same, other = Instance("a", "b"), Instance("A", "c")
    assert filters.without_conflicts([same, same]) == ([same], 0)
    assert filters.without_conflicts([same, other, Instance("d", "e")]) == ([Instance("d", "e")], 2)
    assert filters.answer_fault("It is, and of the!") == filters.answer_fault("...") != ""
    assert filters.answer_fault("I am sorry, I cannot.") == "response says sorry"
    assert filters.answer_fault("She said sorry. " + "Then they walked home together. " * 20) == ""
    assert filters.answer_fault("Paris") == ""
    assert filters.copied("Answer the #Given Prompt# in verse.")
    assert not filters.copied("Describe a prompt reply that was given.")
    assert filters.adds_words("Name a tree.", "Name a tall tree in Spain.")
    assert not filters.adds_words("Name a tree.", "Please name the tree.")
    pattern = filters.forbidden_pattern(filters.FORBIDDEN)
    korean = "늙은 나무 두 그루를 대세요"
    assert not filters.begin_in_ascii([korean, "Name a tree."])
    assert filters.task_fault(korean, (4, 20), pattern, ascii_only=False) == ""
    assert "'사진'" in filters.task_fault("나무 사진을 보고 설명해 주세요", (4, 20), pattern, ascii_only=False)


@each(
    ("Yes.", True),
    (" no\n\nTask", False),
    ("**YES**", True),
    ("예", True),
    ("아니요.", False),
    ("", None),
    ("nothing", None),
    ("It depends: yes", None),
    ("yesterday", None),
)
def test_yes_or_no_is_what_a_reply_begins_with(text, found):
    assert yes_or_no(text) is found


@each(
    ("Name two old trees.", ""),
    ("Name trees.", "task too short"),
    ("word " * 21, "task too long"),
    ("Describe the image of a house.", "task with the word 'image'"),
    ("Describe the imagery of a poem.", ""),
    ("Write a program that sorts numbers.", "task asks for a program of any kind"),
    ("- name two old trees", "task begins with punctuation"),
    ("늙은 나무 두 그루를 대세요", "task in another script than the seeds"),
)
def test_every_rule_for_tasks(text, fault):
    pattern = filters.forbidden_pattern(filters.FORBIDDEN)
    assert filters.task_fault(text, (4, 20), pattern, ascii_only=True) == fault


WORDS = st.lists(st.sampled_from("abcdef"), max_size=7).map(" ".join)


@given(st.lists(WORDS, max_size=8), WORDS, st.sampled_from([0.3, 0.5, 0.7, 1.0]))
def test_the_index_finds_what_comparing_with_each_finds(texts, asked, threshold):
    known = Novelty(threshold)
    for text in texts:
        known.add(text)
    scores = [
        judgekit.data.rouge_l(judgekit.data.rouge_words(asked), judgekit.data.rouge_words(text)) for text in texts
    ]
    assert known.near(asked) == any(score >= threshold for score in scores)
