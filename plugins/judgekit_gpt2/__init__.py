"""GPT-2 from scratch: a backend, three trainers and the commands `judgekit gpt2 …`. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import judgekit

if TYPE_CHECKING:
    import click


@judgekit.hookimpl
def judgekit_commands(app: click.Group) -> None:
    from judgekit_gpt2.commands import gpt2

    app.add_command(gpt2)


@judgekit.hookimpl
def judgekit_backends() -> Mapping[str, type[judgekit.Backend]]:
    from judgekit_gpt2.backend import GPT2Backend

    return {"gpt2": GPT2Backend}


@judgekit.hookimpl
def judgekit_trainers() -> Mapping[str, type[judgekit.Trainer]]:
    from judgekit_gpt2.trainers import DPO, Finetune, Pretrain

    return {"gpt2-dpo": DPO, "gpt2-finetune": Finetune, "gpt2-pretrain": Pretrain}
