"""LLMJudge: the stream of questions and verdicts, over a caller that answers by script."""

import json
import re
from itertools import count, islice

import pytest

from judgekit.errors import PromptError
from judgekit.judging.judge import THINKING_TOKENS, WINDOW
from judgekit.prompting.templates import parse
from judgekit.records import Continuation, Message, Reply, Sample, Sampling
from judgekit.testing import ScriptedCaller
from judges import llm_judge


def judge_of(prompts, caller, prompt="score/integer", **options):
    task = prompt.partition("/")[0]
    return llm_judge("main", caller, {task: prompts.get(prompt)}, **options)


def shown(request):
    """The response in a rendered prompt, by the number that the tests write into it."""
    return int(re.findall(r"number (\d+)", request.prompt)[-1])


def test_verdicts_come_in_the_order_of_the_items(prompts, sample):
    caller = ScriptedCaller(lambda request, *_: Reply(text=str(shown(request) % 101)))
    judge = judge_of(prompts, caller)
    values = [verdict.value for verdict in judge.score((sample, f"number {i}", 0) for i in range(300))]
    assert values == [i % 101 for i in range(300)]
    assert len(caller.asked) == 300


def test_items_are_pulled_as_they_are_needed(prompts, sample):
    pulled = []

    def endless():
        for number in count():
            pulled.append(number)
            yield sample, f"number {number}", 0

    judge = judge_of(prompts, ScriptedCaller(lambda *_: Reply(text="50"), ahead=16))
    assert len(list(islice(judge.score(endless()), 500))) == 500
    assert 500 < len(pulled) <= 500 + WINDOW + 17


def test_the_pool_is_kept_full(prompts, sample):
    caller = ScriptedCaller(lambda *_: Reply(text="50"), ahead=64)
    list(judge_of(prompts, caller).score((sample, f"number {i}", 0) for i in range(200)))
    assert caller.most_ahead == 65


def test_an_unparsed_reply_is_asked_for_once_more_and_says_so(prompts, sample):
    def answer(request, repeat, attempt):
        number = shown(request)
        return Reply(text="Well, hard to say." if attempt == 0 and number % 3 == 0 else f"{number % 101}")

    caller = ScriptedCaller(answer)
    verdicts = list(judge_of(prompts, caller).score((sample, f"number {i}", 0) for i in range(200)))
    assert [verdict.value for verdict in verdicts] == [i % 101 for i in range(200)]
    assert len(caller.asked) == 200 + 67
    assert [attempt for _, _, _, attempt in caller.asked].count(1) == 67
    assert verdicts[3].detail == "asked twice; the first reply: not an integer: Well, hard to say."
    assert verdicts[3].raw == "Well, hard to say.\n\n[asked again]\n\n3"
    assert (verdicts[4].detail, verdicts[4].raw) == ("", "4")


def test_a_second_failure_is_final(prompts, sample):
    caller = ScriptedCaller(lambda request, repeat, attempt: Reply(text=f"no {attempt}"))
    (verdict,) = judge_of(prompts, caller).score([(sample, "number 1", 0)])
    assert verdict.status == "unparsed"
    assert verdict.raw == "no 0\n\n[asked again]\n\nno 1"
    assert verdict.detail == "asked twice; the first reply: not an integer: no 0; the second: not an integer: no 1"
    assert len(caller.asked) == 2


def test_a_judge_that_got_the_nonce_wrong_is_asked_once_more(prompts, sample):
    def careless(request, repeat, attempt):
        nonce = re.search(r"this grading is (\w+)\.", request.prompt)[1] if attempt else "the code"
        return Reply(text=json.dumps({"rationale": "Right.", "score": 85, "nonce": nonce}))

    caller = ScriptedCaller(careless)
    (verdict,) = judge_of(prompts, caller, "score/reason_json").score([(sample, "x", 0)])
    assert (verdict.value, len(caller.asked)) == (85, 2)
    assert "asked twice; the first reply: the call's nonce is not echoed" in verdict.detail
    stubborn = ScriptedCaller(lambda request, repeat, attempt: careless(request, repeat, 0))
    (verdict,) = judge_of(prompts, stubborn, "score/reason_json").score([(sample, "x", 0)])
    assert (verdict.status, verdict.value, len(stubborn.asked)) == ("unsigned", None, 2)


@pytest.mark.parametrize("status", ["refused", "truncated", "error"])
@pytest.mark.parametrize("prompt", ["score/integer", "score/likelihood_ratio"])
def test_what_is_not_complete_is_not_asked_again(prompts, sample, prompt, status):
    caller = ScriptedCaller(lambda *_: Reply(text="85", status=status, detail="why"))
    (verdict,) = judge_of(prompts, caller, prompt).score([(sample, "number 1", 0)])
    assert (verdict.status, verdict.value, verdict.raw, verdict.detail) == (status, None, "85", "why")
    assert len(caller.asked) == (1 if prompt == "score/integer" else 3)


OWN = parse("{#- for: x\n    reading: integer -#}\nScore it from 0 to 100: {{ response }}", "own.j2", "own.j2")


def test_a_reply_that_ends_among_its_thoughts_is_asked_for_with_more_tokens(prompts, sample):
    def thinks(text, reasoning=""):
        def answer(request, repeat, attempt):
            if request.sampling.max_new_tokens == THINKING_TOKENS:
                return Reply(text=f"<think>{'Let me weigh this. ' * 90}</think>\n85")
            return Reply(text=text, reasoning=reasoning, status="truncated", detail="cut at the token limit")

        return answer

    for text, reasoning in (("<think>Let me", ""), ("", "Let me")):
        caller = ScriptedCaller(thinks(text, reasoning))
        (verdict,) = judge_of(prompts, caller, "score/grade").score([(sample, "number 1", 0)])
        assert (verdict.value, len(caller.asked)) == (None, 2)  # 85 is off the scale of 1 to 10
        caller = ScriptedCaller(thinks(text, reasoning))
        (verdict,) = judge_of(prompts, caller).score([(sample, "number 1", 0)])
        assert verdict.value == 85
        assert "among the judge's thoughts" in verdict.detail
    for text in ("The answer is, in the main, a good one, as", ""):  # no thoughts; the prompt was too long
        caller = ScriptedCaller(thinks(text))
        (verdict,) = judge_of(prompts, caller).score([(sample, "number 1", 0)])
        assert (verdict.status, len(caller.asked)) == ("truncated", 1)


def test_the_configs_limit_of_tokens_is_not_overstepped_for_thoughts(prompts, sample):
    caller = ScriptedCaller(lambda *_: Reply(text="<think>Let me", status="truncated", detail="cut"))
    judge = judge_of(prompts, caller, sampling=Sampling(max_new_tokens=40))
    (verdict,) = judge.score([(sample, "number 1", 0)])
    assert (verdict.status, len(caller.asked)) == ("truncated", 1)


def test_a_second_asking_has_other_words_or_another_seed(prompts, sample):
    caller = ScriptedCaller(lambda *_: Reply(text="hm"))
    list(judge_of(prompts, caller, sampling=Sampling(temperature=0, seed=7)).score([(sample, "x", 0)]))
    first, second = (request.prompt for _, request, _, _ in caller.asked)
    assert first != second
    assert second.startswith(first[: len(first) // 2])
    caller.asked.clear()
    (verdict,) = llm_judge("main", caller, {"score": OWN}, Sampling(temperature=0)).score([(sample, "x", 0)])
    assert (verdict.status, verdict.detail) == ("unparsed", "not an integer: hm")
    assert len(caller.asked) == 1, "greedy, with the same words"
    caller.asked.clear()
    list(llm_judge("main", caller, {"score": OWN}, Sampling(temperature=0.7, seed=5)).score([(sample, "x", 2)]))
    assert [request.sampling.seed for _, request, _, _ in caller.asked] == [7, 1_000_010]


def test_a_judge_repeat_has_its_own_seed_and_index(prompts, sample):
    caller = ScriptedCaller(lambda *_: Reply(text="50"))
    judge = judge_of(prompts, caller, sampling=Sampling(temperature=0.5, seed=123))
    list(judge.score((sample, "x", repeat) for repeat in range(3)))
    assert [(request.sampling.seed, repeat) for _, request, repeat, _ in caller.asked] == [(123, 0), (124, 1), (125, 2)]


def test_the_prompts_limit_of_tokens_holds_unless_the_config_has_one(prompts, sample):
    caller = ScriptedCaller(lambda *_: Reply(text="50"))
    list(judge_of(prompts, caller).score([(sample, "x", 0)]))
    list(judge_of(prompts, caller, sampling=Sampling(max_new_tokens=7)).score([(sample, "x", 0)]))
    list(judge_of(prompts, caller, "score/book").score([(sample, "x", 0)]))
    assert [request.sampling.max_new_tokens for _, request, _, _ in caller.asked] == [32, 7, None]
    assert caller.asked[0][1].sampling.seed is None, "nobody gave one"


def test_the_schema_goes_to_backends_that_keep_to_one(prompts, sample):
    caller = ScriptedCaller(lambda *_: Reply(text="50"))
    for schema in (True, False):
        next(judge_of(prompts, caller, "score/reason_json", schema=schema).score([(sample, "x", 0)]))
    sent = [request.json_schema for _, request, _, attempt in caller.asked if attempt == 0]
    assert list(sent[0]["properties"]) == ["rationale", "score", "nonce"]
    assert sent[0]["additionalProperties"] is False
    assert sent[1] is None


def test_a_sample_without_the_reference_that_the_prompt_needs_is_skipped_in_its_place(prompts, sample):
    bare = Sample(id="bare", instruction="Say something.")
    blank = Sample(id="blank", instruction="Say something.", reference="  \n")
    caller = ScriptedCaller(lambda request, *_: Reply(text=str(shown(request))))
    samples = [bare, sample, blank, bare, sample, bare]
    verdicts = list(judge_of(prompts, caller).score((one, f"number {place}", 0) for place, one in enumerate(samples)))
    assert [verdict.value for verdict in verdicts] == [None, 1, None, None, 4, None]
    assert {verdict.status for verdict in verdicts} == {"skipped", "scored"}
    assert "no reference" in verdicts[0].detail
    assert len(caller.asked) == 2
    list(judge_of(prompts, caller, "score/reason_json").score([(bare, "number 7", 0)]))
    assert "for comparison" not in caller.asked[2][1].prompt, "a prompt that can do without a reference asks"


def test_a_pair_is_asked_about_in_both_orders(prompts, sample):
    def longer(request, *_):
        first, second = re.findall(r"\[response [AB] \w+\]\n(.*?)\n\[end", request.prompt, re.DOTALL)
        return Reply(text="tie" if len(first) == len(second) else "A" if len(first) > len(second) else "B")

    caller = ScriptedCaller(longer)
    judge = judge_of(prompts, caller, "pairwise/letter")
    items = [(sample, "long text", "short", 0), (sample, "a", "bb", 0), (sample, "xx", "yy", 0)]
    values = [(first.value, second.value) for first, second in judge.compare(items)]
    assert values == [(1.0, 1.0), (0.0, 0.0), (0.5, 0.5)]
    assert len(caller.asked) == 6


def test_one_order_may_fail_alone(prompts, sample):
    def half(request, *_):
        return Reply(text="A" if request.prompt.find("good") < request.prompt.find("bad") else "?")

    ((first, second),) = judge_of(prompts, ScriptedCaller(half), "pairwise/letter").compare(
        [(sample, "good", "bad", 0)]
    )
    assert (first.value, second.status) == (1.0, "unparsed")


FOUR = Sample(id="4", instruction="Count.", input="to four", reference="one two three four")


def test_a_likelihood_ratio_lies_between_its_anchors(prompts, by_words):
    caller = ScriptedCaller(by_words)
    judge = judge_of(prompts, caller, "score/likelihood_ratio")
    answers = ["one two three four", "", "one two", "five"]
    verdicts = list(judge.score((FOUR, answer, 0) for answer in answers))
    assert [verdict.value for verdict in verdicts] == pytest.approx([100, 0, 50, 0])
    assert {kind for kind, *_ in caller.asked} == {"loglikelihood"}
    assert all(request.continuations == ("one two three four",) for _, request, _, _ in caller.asked)
    assert len({request.model_dump_json() for _, request, _, _ in caller.asked}) == 4  # the anchors are shared
    assert caller.asked[0][1].messages[:2] == (
        Message(role="user", content="Count.\nto four"),
        Message(role="assistant", content="one two three four"),
    )


def test_a_likelihood_ratio_needs_a_reference_and_anchors_that_separate(prompts):
    flat = ScriptedCaller(lambda *_: Reply(continuations=(Continuation(token_logprobs=(-1.0,)),)))
    judge = judge_of(prompts, flat, "score/likelihood_ratio")
    bare = Sample(id="bare", instruction="Say something.")
    skipped, unparsed = judge.score([(bare, "x", 0), (FOUR, "x", 0)])
    assert (skipped.status, unparsed.status) == ("skipped", "unparsed")
    assert "anchors do not separate" in unparsed.detail
    assert len(flat.asked) == 3  # a measurement is not asked for again


def test_a_backend_that_measures_nothing_is_an_error(prompts):
    judge = judge_of(prompts, ScriptedCaller(lambda *_: Reply(text="85")), "score/likelihood_ratio")
    (verdict,) = judge.score([(FOUR, "x", 0)])
    assert (verdict.status, verdict.value) == ("error", None)


def test_a_pair_by_likelihood_does_not_depend_on_the_order(prompts, by_words):
    judge = judge_of(prompts, ScriptedCaller(by_words), "pairwise/likelihood_ratio")
    items = [(FOUR, "one two", "one", 0), (FOUR, "", "four", 0), (FOUR, "five", "six", 0)]
    values = [(first.value, second.value) for first, second in judge.compare(items)]
    assert values == [(1.0, 1.0), (0.0, 0.0), (0.5, 0.5)]


def test_a_task_without_a_prompt_or_with_the_wrong_one_is_a_clear_error(prompts, by_words):
    caller = ScriptedCaller(by_words)
    with pytest.raises(PromptError, match="judge 'main' has no prompt for the task 'pairwise'"):
        judge_of(prompts, caller).reading("pairwise")
    with pytest.raises(PromptError, match=r"unknown reading 'integer'; to compare, it is one of letter"):
        llm_judge("main", caller, {"pairwise": prompts.get("score/integer")})
    for source, said in [
        ("no comment {{ response }}", r"own\.j2: no 'reading:' in the comment on top"),
        ("{#- reading: intger -#}{{ response }}", r"did you mean 'integer'\?"),
        ("{#- reading: integer -#}\n{{ answer }}", r"own\.j2:2: unknown variable 'answer'"),
        ("{#- reading: integer -#}\n{{ response_a }}", "did you mean 'response'"),
    ]:
        with pytest.raises(PromptError, match=said):
            llm_judge("main", caller, {"score": parse(source, "own.j2", "own.j2")})


MT_BENCH = """{#- for: MT-Bench's pairwise prompt
    reading: letter
    pattern: \\[\\[([ABC])\\]\\]
    tie: C -#}
{{ instruction }}: {{ response_a }} or {{ response_b }}? Output [[A]], [[B]] or [[C]] for a tie."""


def test_a_prompt_says_how_its_verdict_is_written(sample):
    for text, value in {"I see. [[C]] it is.": 0.5, "Both [[A]]": 1, "A": None, "[[A]] or [[B]]": None}.items():
        judge = llm_judge("main", ScriptedCaller(lambda *_, text=text: Reply(text=text)), {"pairwise": mt_bench()})
        ((first, second),) = judge.compare([(sample, "Mice.", "Mouses.", 0)])
        assert first.value == value
        assert second.value == (None if value is None else 1 - value)


@pytest.mark.parametrize(
    "line", ["pattern: (", "pattern: [[A]]", "tie: C\n    reading: pairwise_json\n    pattern: (A)"]
)
def test_a_pattern_that_cannot_be_is_said_before_any_call(line):
    reading = "" if "reading" in line else "reading: letter\n    "
    source = f"{{#- for: x\n    {reading}{line} -#}}\n{{{{ response_a }}}}"
    with pytest.raises(PromptError, match="pattern: "):
        llm_judge("main", ScriptedCaller(lambda *_: Reply()), {"pairwise": parse(source, "own.j2", "own.j2")})


def mt_bench():
    return parse(MT_BENCH, "mt.j2", "mt.j2")
