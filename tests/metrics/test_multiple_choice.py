"""Multiple choice: prompts as published, what is picked and how it is read, shots that fit, and the order probe."""

import hashlib
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import judgekit
from judgekit import Continuation, Reply, Request, Sample, Token, Usage
from judgekit.prompting.templates import Prompts
from judgekit.thoughts import STRIP
from judgekit_datasets.mmlu import MMLU, MMLUOptions
from judgekit_metrics.choice_readings import LETTERS, Question, Unread, read
from judgekit_metrics.letter_bias import baselines, chance
from judgekit_metrics.multiple_choice import MultipleChoice, MultipleChoiceOptions
from tables import each

GOLDEN = Path(__file__).parent / "golden"
LIKELIHOODS = frozenset({"generate", "loglikelihood"})
Answer = Callable[[Request], Reply]
PROMPTS = Prompts()


@dataclass
class FakeStudy:
    """Renders the shipped templates; `answer` replies to every request."""

    samples: Sequence[Sample]
    answer: Answer
    offered: frozenset[str] = LIKELIHOODS
    worked: Sequence[Sample] = ()
    asked: list[Request] = field(default_factory=list)

    systems = ("s",)
    anchor = "s"
    judge = None
    judge_repeats = 1

    def capabilities(self, system):
        return self.offered

    def loglikelihood(self, system, requests):
        for request in requests:
            assert request.continuations
            self.asked.append(request)
            yield self.answer(request)

    def generate(self, system, requests):
        for request in requests:
            assert not request.continuations
            self.asked.append(request)
            yield self.answer(request)

    def responses(self, system):
        raise AssertionError("multiple choice asks for itself")

    def prompt(self, system, sample):
        raise AssertionError("multiple choice has its own prompts")

    def shots(self, sample):
        return self.worked

    def render(self, template, **context):
        return PROMPTS.get(template).render(**context)


def metric(**options):
    return MultipleChoice(MultipleChoiceOptions(**options))


def rows(study, **options):
    return list(metric(**options).rows(study))


def kept(row, order=0):
    return json.loads(row.verdicts[order].raw)


def weighed(*sums, tokens=()):
    """Log-likelihoods of the continuations, each spread over so many tokens."""
    lengths = tokens or [1] * len(sums)
    return Reply(
        continuations=tuple(
            Continuation(token_logprobs=(value / n,) * n) for value, n in zip(sums, lengths, strict=True)
        )
    )


def question(number=0, answer=1, options=("w", "x", "y", "z")):
    return Sample(
        id=str(number), instruction=f"Question {number}?", choices=tuple(options), answer=answer, category="odd_things"
    )


# --- prompts as published ---


def published():
    sys.path.insert(0, str(GOLDEN))
    try:
        import make

        return make
    finally:
        sys.path.remove(str(GOLDEN))


def asked_prompts(folder, shots, subjects=None, per_subject=None):
    """The prompt that is sent for every question, by the sample's id."""
    loader = MMLU(MMLUOptions(path=str(folder), shots=shots, subjects=subjects, per_subject=per_subject))
    samples = list(loader.load())
    study = FakeStudy(samples, lambda request: weighed(-1.0, -2.0, -3.0, -4.0))
    study.shots = loader.shots  # type: ignore[method-assign]
    list(metric().rows(study))
    return {sample.id: request.prompt for sample, request in zip(samples, study.asked, strict=True)}


@each(
    ("everyday_words-5", "everyday_words", 0, 5),
    ("chemistry-2", "chemistry", 3, 2),
    ("arithmetic-0", "arithmetic", 1, 0),
)
def test_prompts_are_byte_equal_to_the_golden_files(name, subject, number, shots, checkout):
    data = checkout / "examples" / "quickstart" / "data" / "mmlu"
    golden = (GOLDEN / f"{name}.txt").read_bytes()
    assert asked_prompts(data, shots, (subject,))[f"{subject}-{number:04d}"].encode() == golden
    assert published().published(data, subject, number, shots).encode() == golden
    assert b"about  " in golden, "two spaces, as published"


@pytest.mark.shared
@each(5, pytest.param(None, marks=pytest.mark.slow))
def test_all_prompts_of_mmlu_are_as_published(per_subject, shared_data):
    """By hash, against prompts put together from the files without judgekit."""
    make, data = published(), shared_data / "mmlu"
    theirs, ours = hashlib.sha256(), hashlib.sha256()
    for sample_id, prompt in asked_prompts(data, 5, per_subject=per_subject).items():
        ours.update(f"{sample_id}\0{prompt}\0".encode())
    for path in sorted((data / "test").glob("*.csv")):
        subject = path.name.removesuffix("_test.csv")
        words = "".join(f" {word}" for word in subject.split("_"))
        head = f"The following are multiple choice questions (with answers) about {words}.\n\n"
        head += "".join(make.example(row, True) for row in make.rows(data / "dev" / f"{subject}_dev.csv"))
        for number, row in enumerate(make.rows(path)[:per_subject]):
            theirs.update(f"{subject}-{number:04d}\0{head}{make.example(row, False)}\0".encode())
    assert ours.hexdigest() == theirs.hexdigest()
    if per_subject is None:
        assert ours.hexdigest() == MMLU_SHA256, "all 14,042"


MMLU_SHA256 = "67d76f2324c328b5c045ca654bd83ec3ad1c0b41942987a262ff0e3e6ee93b48"


@pytest.mark.shared
def test_the_degenerate_baselines_of_mmlu_are_exact(shared_data):
    samples = list(MMLU(MMLUOptions(path=str(shared_data / "mmlu"))).load())
    series = MultipleChoice.series
    found = baselines(judgekit.AggregateTerms(metric="mmlu", series=series, samples=samples, systems="s", anchor="s"))
    assert {habit.system: round(100 * (habit.value or 0), 2) for habit in found} == {
        "always A": 22.95, "always B": 24.65, "always C": 25.51, "always D": 26.89, "longest option": 27.89,
    }  # fmt: skip
    assert chance(samples) == 0.25


# --- letters by log-likelihood ---


def test_letters_are_picked_and_compared():
    study = FakeStudy(
        [question(0, 1), question(1, 2), question(2, 1)],
        lambda request: weighed(-2.0, -1.0, -1.0, -3.0),
    )
    found = rows(study)
    assert [row.value for row in found] == [1, 0, 1]
    assert study.asked[0].continuations == (" A", " B", " C", " D")
    assert "multiple choice questions (with answers) about  odd things." in study.asked[0].prompt
    assert kept(found[0]) == {
        "chosen": "B", "loglikelihood": {"A": -2, "B": -1, "C": -1, "D": -3}, "reading": "loglikelihood", "shots": 0,
    }  # fmt: skip
    assert all(row.series == {} for row in found)
    study = FakeStudy([question()], lambda request: weighed(-2.0, -3.0, -4.0, -5.0, tokens=(1, 2, 2, 2)))
    assert kept(rows(study)[0])["chosen"] == "A"
    reply = first_token("The", The=math.log(0.5), C=math.log(0.2), B=math.log(0.25))
    study = FakeStudy([question(0, 1)], lambda request: reply, chat("logprobs"))
    (row,) = rows(study)
    assert (row.value, kept(row)["chosen"]) == (1, "B")
    assert kept(row)["logprobs"] == {"B": pytest.approx(-1.3863), "C": pytest.approx(-1.6094)}
    request = study.asked[0]
    assert (request.top_logprobs, request.sampling.max_new_tokens, request.json_schema) == (20, 1, None)
    (row,) = rows(FakeStudy([question()], lambda request: first_token("The", The=-0.1, x=-3.0), chat("logprobs")))
    assert row.status == "unparsed"
    assert "no letter is among the alternatives at the first token, 'The'" in row.verdicts[0].detail
    (row,) = rows(FakeStudy([question()], lambda request: Reply(text="B"), chat("logprobs")))
    assert (row.status, row.verdicts[0].detail) == ("unparsed", "the backend gave no log-probabilities")


@each(2, 3, 5, 10)
def test_questions_may_have_from_two_to_ten_options(count):
    sample = question(options=[f"option {n}" for n in range(count)], answer=count - 1)
    study = FakeStudy([sample], lambda request: weighed(*range(-count, 0)))
    (row,) = rows(study)
    assert row.value == 1
    assert study.asked[0].continuations == tuple(f" {letter}" for letter in LETTERS[:count])
    assert f"\n{LETTERS[count - 1]}. option {count - 1}\nAnswer:" in study.asked[0].prompt


def test_shots_are_dropped_from_the_end_while_the_prompt_is_too_long():
    worked = [question(90 + n, n) for n in range(4)]

    def answer(request):
        if request.prompt.count("Answer:") > room[int(request.prompt.rpartition("Question ")[2][0])]:
            return Reply(status="truncated", detail="too long for the context")
        return weighed(-2.0, -1.0, -3.0, -4.0)

    room = {0: 5, 1: 3, 2: 1, 3: 0}  # so many "Answer:" have room
    study = FakeStudy([question(number) for number in room], answer, worked=worked)
    found = rows(study)
    assert [row.status for row in found] == ["scored", "scored", "scored", "truncated"]
    assert [kept(row)["shots"] for row in found[:3]] == [4, 2, 0]
    assert found[3].verdicts[0].detail == "too long for the context"
    assert found[3].series == {}
    last = next(
        request for request in study.asked if "Question 1?" in request.prompt and "Question 92" not in request.prompt
    )
    assert "Question 90?" in last.prompt, "the first examples stay"
    assert "Question 91?" in last.prompt


# --- whole options ---


def test_whole_options_in_four_ways():
    options = ("aa", "ééé", "cccccc", "ddddddd")  # 2, 3, 6, 7 characters; 2, 6, 6, 7 bytes
    sums, tokens = (-4.0, -5.4, -9.6, -20.0), (1, 3, 2, 9)
    # over characters: −2, −1.8, −1.6, −2.86; bytes: −2, −0.9, −1.6, −2.86; tokens: −4, −1.8, −4.8, −2.2
    sample = question(options=options, answer=1)
    study = FakeStudy([sample], lambda request: weighed(*sums, tokens=tokens))
    by = {"acc": "A", "acc_char": "C", "acc_byte": "B", "acc_token": "B"}
    for mode, letter in by.items():
        (row,) = rows(study, mode=mode)
        assert kept(row)["chosen"] == letter
        assert kept(row)["by"] == by
        assert row.value == (letter == "B")
        assert row.series == {"acc": 0, "acc_char": 0, "acc_byte": 1, "acc_token": 1}
    assert study.asked[0].continuations == (" aa", " ééé", " cccccc", " ddddddd")
    assert study.asked[0].prompt == "Question: Question 0?\nAnswer:"
    study = FakeStudy([question(options=("ab", "cd", "e"))], lambda request: weighed(-2.0, -2.0, -1.0))
    assert kept(rows(study, mode="acc_char")[0])["by"] == {
        "acc": "C",
        "acc_char": "A",
        "acc_byte": "A",
        "acc_token": "C",
    }
    sample = question().model_copy(update={"metadata": {"continuation": True}})
    study = FakeStudy([sample], lambda request: weighed(-1.0, -2.0, -3.0, -4.0), worked=[sample])
    rows(study, mode="acc")
    assert study.asked[0].prompt == "Question 0? x\n\nQuestion 0?"
    plain = FakeStudy([question()], study.answer, worked=[question(7)])
    rows(plain, mode="acc")
    assert plain.asked[0].prompt == "Question: Question 7?\nAnswer: x\n\nQuestion: Question 0?\nAnswer:"


# --- chat models ---


def chat(*offered):
    return frozenset({"generate", *offered})


@each(
    (chat("loglikelihood", "schema", "logprobs"), "loglikelihood"),
    (chat("schema", "logprobs"), "schema"),
    (chat("logprobs"), "logprobs"),
    (chat(), "text"),
)
def test_the_reading_is_picked_by_what_the_backend_offers(offered, reading):
    replies = {
        "loglikelihood": weighed(-2.0, -1.0, -3.0, -4.0),
        "schema": Reply(text='{"answer": "B"}'),
        "logprobs": Reply(text="B", tokens=(Token(text="B", logprob=-0.1),)),
        "text": Reply(text="B"),
    }
    study = FakeStudy([question()], lambda request: replies[reading], offered)
    (row,) = rows(study)
    assert row.value == 1
    assert kept(row)["reading"] == reading
    assert kept(rows(study, reading=reading)[0])["reading"] == reading


def test_a_letter_is_held_to_a_schema_where_the_backend_can():
    study = FakeStudy(
        [question(options=("a", "b", "c"))], lambda request: Reply(text='{"answer": "C"}'), chat("schema")
    )
    (row,) = rows(study)
    assert (row.status, row.value) == ("scored", 0)
    request = study.asked[0]
    assert request.json_schema == {
        "type": "object", "properties": {"answer": {"type": "string", "enum": ["A", "B", "C"]}}, "required": ["answer"],
        "additionalProperties": False,
    }  # fmt: skip
    assert (request.sampling.temperature, request.sampling.max_new_tokens, request.top_logprobs) == (0, 64, 0)
    assert request.prompt.endswith(
        'Which option is right, A, B or C?\nReply with a JSON object and nothing else, such as {"answer": "A"}.'
    )


@each(
    "B",
    '{"answer": "b"}',
    '{"answer": "D", "why": ""}',
    '{"answer": ["B"]}',
    '{"answer": "E"}',
    "[]",
    "",
    "{}",
    '{"answer": "AB"}',
    '{"answer": "A", "answer": "B"}',
    '[["answer", "B"]]',
    '{"answer": "B"} {"answer": "B"}',
    '{"answer": {"answer": "B"}}',
    '{"answer": "Ｂ"}',
    '```json\n{"answer": "B"}\n```\n```json\n{"answer": "C"}\n```',
)
def test_nothing_but_the_object_asked_for_is_read(text):
    (row,) = rows(FakeStudy([question()], lambda request: Reply(text=text), chat("schema")))
    assert (row.status, row.value, row.verdicts[0].raw) == ("unparsed", None, text)


def first_token(text, **top):
    tokens = (Token(text=text, logprob=top[text], top=tuple(top.items())),)
    return Reply(text=text, tokens=tokens, status="truncated", detail="cut at the token limit")


OPTIONS = ("Paris", "A small town", "none of them", "Lyon and Nice")
READ = [
    ("B", "B"), ("b", None), (" B \n", "B"), ("B.", "B"), ("(B)", "B"), ("[B]", "B"), ("**B**", "B"), ("`B`", "B"),
    ('"B"', "B"), ("B)", "B"), ("Option B", "B"), ("A. Paris", "A"), ("A) Paris.", "A"), ("A: paris", "A"),
    ("**D. Lyon and  Nice**", "D"), ("B. Paris", None), ("A Paris", None), ("Answer: C", "C"), ("answer: C", "C"),
    ("**Answer:** C", "C"), ("**Answer: C**", "C"), ("Answer: (C)", "C"), ("Answer = C", "C"), ("Answer: C.", "C"),
    ("Final answer: D", "D"), ("The answer is C", "C"), ("The answer is (C).", "C"), ("The correct answer is: C", "C"),
    ("The correct option is C.", "C"), ("So the answer is C", "C"), ("Therefore, the best choice is **C**", "C"),
    ("정답: C", "C"), ("Answer: A. Paris", "A"), ("Answer: A. Lyon", None), ("Answer: A or B", None),
    ("Answer: A, B", None), ("Answer: A and B", None), ("Answer: E", None), ("Answer: Z", None), ("Answer: AB", None),
    ("Answer: none", None), ("Answer:", None), ("A small town", None), ("A", "A"), ("A small town is wrong.", None),
    ("A cat sat.", None), ("I think it is B", None), ("DNA", None), ("B or C", None), ("Not B", None), ("AB", None),
    ("Ｂ", None), ("В", None), ("1", None), ("", None), ("   ", None), ("...", None), ("I cannot say.", None),
    ("Let me see.\nParis is not it.\nAnswer: D", "D"), ("Answer: A\nNo, wait.\nAnswer: C", "C"),
    ("Answer: A\nAnswer: A or B", None), ("B\nbecause it is small", None), ("A. Paris\nB. A small town", None),
    ("It is B.\nI am sure.", None), ("<think>Answer: A</think>C", "C"), ("<think>Answer: A", None),
    ("<think>hm</think>\n\nAnswer: B", "B"), ("Question: A\nChoose B", None), ("The answers are B", None),
    ("The answer isB", None), ("Answer: the letter B", None), ("Reanswer: B\nB?", None), ("B!", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "letter"), READ)
def test_a_written_letter_is_read_only_where_it_is_the_answer(text, letter):
    asked, reply = Question(question(options=OPTIONS), (0, 1, 2, 3)), STRIP.cut(Reply(text=text))
    if letter is None:
        with pytest.raises(Unread):
            read(asked, reply, "letter", "text")
    else:
        assert LETTERS[read(asked, reply, "letter", "text").by["letter"]] == letter


def test_what_cannot_be_read_is_counted_or_passed_on():
    replies = iter([Reply(text="A cat"), Reply(text="Well, let me", status="truncated", detail="cut"), Reply(text="B"),
                    Reply(text="No.", status="refused", detail="refused")])  # fmt: skip
    study = FakeStudy([question(n) for n in range(4)], lambda request: next(replies), chat(), [question(9)])
    found = rows(study)
    assert [row.status for row in found] == ["unparsed", "truncated", "scored", "refused"]
    assert len(study.asked) == 4, "an answer that was cut is no prompt that was too long"
    assert (study.asked[0].sampling.max_new_tokens, study.asked[0].sampling.temperature) == (256, 0)
    assert study.asked[0].prompt.endswith("Which option is right, A, B, C or D?\nReply with the letter alone.")
    assert "Question 9?\nA. w\nB. x\nC. y\nD. z\nAnswer: B\n\n" in study.asked[0].prompt
    assert kept(found[2])["reply"] == "B"
    study = FakeStudy([question()], lambda request: Reply(status="error", detail="no reply"))
    (row,) = rows(study)
    assert (row.status, row.value, row.verdicts[0].detail) == ("error", None, "no reply")
    reply = Reply(text='{"answer": "B"}', notes=("the server refused a JSON schema",))
    assert kept(rows(FakeStudy([question()], lambda _: reply, chat("schema")))[0])["notes"] == list(reply.notes)
    study = FakeStudy([question(3)], lambda request: Reply(text="Answer: B"), chat("stored"))
    assert rows(study)[0].value == 1
    assert study.asked[0].sample_id == "3"
    cut = Reply(status="truncated", detail="no content", usage=Usage(prompt_tokens=9, completion_tokens=64))
    study = FakeStudy([question()], lambda request: cut, chat("schema"), [question(9)])
    assert rows(study)[0].status == "truncated"
    assert len(study.asked) == 1


# --- the option-order probe ---


def test_the_order_probe_asks_every_cyclic_order():
    def knows(request):
        """Finds the option "x" wherever it stands, except in question 1, where it says B."""
        shown = [line[3:] for line in request.prompt.splitlines() if line[1:3] == ". "]
        place = 1 if "Question 1?" in request.prompt else shown.index("x")
        return weighed(*(-1.0 if at == place else -2.0 for at in range(4)))

    study = FakeStudy([question(0), question(1)], knows)
    knowing, biased = rows(study, order_probe=True)
    assert (knowing.value, biased.value) == (1, 1), "the headline is the published order's"
    assert knowing.series == {"orders_mean": 1, "orders_all": 1, "orders_consistent": 1}
    assert biased.series == {"orders_mean": 0.25, "orders_all": 0, "orders_consistent": 0}
    assert len(knowing.verdicts) == 4
    orders = [kept(knowing, at).get("order", "ABCD") for at in range(4)]
    assert orders == ["ABCD", "BCDA", "CDAB", "DABC"]
    assert [kept(knowing, at)["chosen"] for at in range(4)] == ["B", "A", "D", "C"]
    assert len(study.asked) == 8
    assert metric(order_probe=True).questions(question()) == 4
    assert metric().questions(question()) == 1


def test_the_probe_compares_orders():
    def stubborn(request):
        shown = [line[3:] for line in request.prompt.splitlines() if line[1:3] == ". "]
        return weighed(*(-1.0 if option == "z" else -2.0 for option in shown))

    (row,) = rows(FakeStudy([question()], stubborn), order_probe=True)
    assert row.series == {"orders_mean": 0, "orders_all": 0, "orders_consistent": 1}

    def by_length(request):
        return weighed(*(-float(len(text)) for text in request.continuations))

    sample = question(options=("aaa", "b", "cc"), answer=1)
    (row,) = rows(FakeStudy([sample], by_length), order_probe=True, mode="acc")
    assert (row.value, row.series["orders_all"]) == (1, 1)
    assert [kept(row, at)["chosen"] for at in range(3)] == ["B", "A", "C"]


def test_an_order_without_an_answer_leaves_the_probe_out_and_a_failed_call_the_row():
    broken = Reply(text="hm")
    first = Reply(text="B")

    def answer(request):
        return first if "A. w" in request.prompt else broken

    (row,) = rows(FakeStudy([question()], answer, chat()), order_probe=True)
    assert (row.status, row.value, row.series) == ("scored", 1, {})
    broken = Reply(status="error", detail="connection lost")
    (row,) = rows(FakeStudy([question()], answer, chat()), order_probe=True)
    assert (row.status, row.value) == ("error", None)


# --- before any call ---


@each(
    ({}, chat(), None),
    ({"mode": "acc_char"}, LIKELIHOODS, None),
    ({"mode": "acc_char"}, chat("schema"), "mode acc_char compares log-likelihoods, which models.s has not"),
    ({"mode": "acc", "reading": "text"}, LIKELIHOODS, "goes with reading loglikelihood, not text"),
    ({"reading": "loglikelihood"}, chat(), "reading loglikelihood needs log-likelihoods, which models.s has not"),
    (
        {"reading": "logprobs"},
        chat("schema"),
        "needs log-probabilities of generated tokens, which models.s has not",
    ),
    ({"reading": "schema"}, chat("logprobs"), "needs answers held to a JSON schema, which models.s has not"),
    ({"order_probe": True}, chat("stored"), "order_probe asks anew, and models.s only looks up answers"),
)
def test_what_a_system_cannot_do_is_said_before_any_call(options, offered, expected):
    problems = metric(**options).check({"s": offered})
    assert [expected in problem for problem in problems] == ([True] if expected else [])  # type: ignore[operator]


def test_prompts_are_declared():
    assert metric().prompts({"a": LIKELIHOODS}) == ["multiple_choice/mmlu.j2"]
    assert metric().prompts({"a": LIKELIHOODS, "b": chat()}) == ["multiple_choice/chat.j2", "multiple_choice/mmlu.j2"]
    assert metric(mode="acc").prompts({"a": LIKELIHOODS}) == ["multiple_choice/answer.j2"]
    assert metric(prompt="mine.j2").prompts({"a": LIKELIHOODS, "b": chat()}) == ["mine.j2"]
    for name in ("mmlu", "chat", "answer"):
        PROMPTS.get(f"multiple_choice/{name}").expect(MultipleChoice.prompt_variables)
