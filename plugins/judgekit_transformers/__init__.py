"""Backend `transformers`: Hugging Face models and GGUF files under PyTorch, inside this process; also SmolLM2, the
embedded judge. Trainer `transformers-sft`: supervised tuning of such models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from judgekit import hookimpl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from judgekit import Backend, Problem, RunConfig, Trainer


@hookimpl
def judgekit_backends() -> Mapping[str, type[Backend]]:
    from judgekit_transformers.backend import TransformersBackend

    return {"transformers": TransformersBackend}


@hookimpl
def judgekit_trainers() -> Mapping[str, type[Trainer]]:
    from judgekit_transformers.tuning import SupervisedTuning

    return {"transformers-sft": SupervisedTuning}


@hookimpl
def judgekit_check(config: RunConfig) -> Sequence[Problem]:
    from judgekit_transformers.prompt_check import asked_otherwise

    return list(asked_otherwise(config))
