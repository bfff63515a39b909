"""Blocks of the config: options of plugins are gathered, and what contradicts itself is refused."""

import pytest
from pydantic import ValidationError

from judgekit.config.blocks import BudgetConfig, GateConfig, JudgeConfig, Limits, ModelConfig, RunConfig

RUN = {"name": "r", "data": {"path": "x"}, "models": {"m": {"backend": "b"}}, "metrics": {"q": {"type": "t"}}}


def test_a_plugins_options_are_gathered_and_written_flat_again():
    part = ModelConfig.model_validate({"backend": "b", "temperature": 0.5, "host": "h", "n": 3})
    assert part.options == {"host": "h", "n": 3}
    flat = part.model_dump()
    assert (flat["host"], flat["n"], flat["temperature"]) == ("h", 3, 0.5)
    assert "options" not in flat
    assert ModelConfig.model_validate(flat) == part


@pytest.mark.parametrize(
    ("block", "tree"),
    [
        (Limits, {"requests_per_minute": 0}), (Limits, {"unknown": 1}), (BudgetConfig, {"calls": -1}),
        (JudgeConfig, {}), (GateConfig, {"quality": {}}), (GateConfig, {"quality": {"margin": -1}}),
        (RunConfig, {}), (RunConfig, RUN | {"seed": -1}), (RunConfig, RUN | {"models": {}}),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(block, tree):
    with pytest.raises(ValidationError):
        block.model_validate(tree)
