"""A judge as a config names it: whose prompt it takes, and what of its backend it uses."""

from typing import ClassVar

import pytest
from judgekit.contracts import Backend
from judgekit.errors import PromptError
from judgekit.judging import LLMJudge
from judgekit.records import Reply
from judgekit.spec import JudgeSpec

from scripted_caller import ScriptedCaller


class Plain(Backend):
    def generate(self, requests):
        raise AssertionError("judging asks by its caller")


class Measuring(Plain):
    capabilities = frozenset({"generate", "loglikelihood", "schema"})
    default_prompts: ClassVar[dict[str, str]] = {
        "score": "score/likelihood_ratio",
        "pairwise": "pairwise/likelihood_ratio",
    }


@pytest.mark.parametrize(
    ("prompt", "backend", "names"),
    [
        (None, Plain, ("score/reason_json", "pairwise/reason_json")),
        (None, Measuring, ("score/likelihood_ratio", "pairwise/likelihood_ratio")),
        ("score/integer", Measuring, ("score/integer", "pairwise/likelihood_ratio")),
        ("pairwise/letter.j2", Plain, ("score/reason_json", "pairwise/letter.j2")),
        ("mine.j2", Plain, ("mine.j2", "mine.j2")),
        ({"score": "score/integer"}, Measuring, ("score/integer", "pairwise/likelihood_ratio")),
        ({"pairwise": "mine.j2"}, Plain, ("score/reason_json", "mine.j2")),
    ],
)
def test_a_prompt_is_the_judges_own_or_the_backends_or_the_default(prompt, backend, names):
    spec = JudgeSpec(backend="b", prompt=prompt)
    assert tuple(LLMJudge.prompt_name(spec, backend(), task) for task in ("score", "pairwise")) == names


def test_a_judge_from_a_config(prompts, sample):
    caller = ScriptedCaller(lambda *_: Reply(text="hm"))
    spec = JudgeSpec.model_validate({"backend": "b", "temperature": 0.5, "seed": 9})
    judge = LLMJudge.from_spec("main", spec, Plain(), caller, prompts)
    next(judge.score([(sample, "x", 1)]))
    request = caller.asked[0][1]
    assert (request.sampling.temperature, request.sampling.seed, request.sampling.max_new_tokens) == (0.5, 10, 512)
    assert (request.json_schema, judge.name, judge.backend) == (None, "main", "b")
    assert (judge.reading("score").kind, judge.reading("pairwise").kind) == ("generate", "generate")


def test_a_judge_uses_what_its_backend_can_do(prompts, sample):
    caller = ScriptedCaller(lambda *_: Reply(text="hm"))
    judge = LLMJudge.from_spec("main", JudgeSpec(backend="b"), Measuring(), caller, prompts)
    assert judge.reading("score").kind == judge.reading("pairwise").kind == "loglikelihood"
    written = JudgeSpec(backend="b", prompt="score/reason_json")
    next(LLMJudge.from_spec("main", written, Measuring(), caller, prompts).score([(sample, "x", 0)]))
    assert caller.asked[0][1].json_schema is not None


def test_a_prompt_that_is_not_there_is_a_clear_error(prompts):
    spec = JudgeSpec(backend="b", prompt={"score": "score/intger"})
    with pytest.raises(PromptError, match="did you mean 'score/integer'"):
        LLMJudge.from_spec("main", spec, Plain(), ScriptedCaller(lambda *_: Reply()), prompts)
