"""Instruction data: the commands `judgekit data …`, and a check for test items in training data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import judgekit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import click


@judgekit.hookimpl
def judgekit_commands(app: click.Group) -> None:
    from judgekit_instructions.commands import add_to

    add_to(judgekit.command_group(app, "data", "Convert, split, mix, check and make instruction data."))


@judgekit.hookimpl
def judgekit_check(
    trainers: Mapping[str, judgekit.Trainer], samples: Mapping[str, Sequence[judgekit.Sample]]
) -> Sequence[judgekit.Problem]:
    from judgekit_instructions.overlap import seen_in_training

    return list(seen_in_training(trainers, samples))
