"""Preflight: is a tuned model asked as it was taught?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import judgekit


def asked_otherwise(config: judgekit.RunConfig) -> Iterator[judgekit.Problem]:
    """A warning for each model of a transformers-sft training that is asked in another style, or form of messages."""
    for name, model in config.models.items():
        made = str(model.options.get("model", ""))
        training = config.train.get(made.removeprefix("train:").partition("/")[0])
        if model.backend != "transformers" or not made.startswith("train:") or training is None:
            continue
        taught, asked = _form(training.options.get("style"), training.options), _form(model.style, model.options)
        if training.trainer == "transformers-sft" and taught != asked:
            yield judgekit.Problem(
                severity="warning",
                where=f"models.{name}",
                message=f"is asked with {asked}, and was taught with {taught}: it has learnt to answer other prompts",
            )


def _form(style: Any, options: Mapping[str, Any]) -> str:
    """What makes a prompt of an item, as a config says it."""
    chat = options.get("chat", "auto")
    return f"style: {style or 'plain'} and chat: {str(chat).lower() if isinstance(chat, bool) else chat}"
