"""`loader: conversations`: samples of several turns, from files in the shape of ShareGPT, OpenAI messages or MT-Bench.

The user's turns are asked one after the other, with the system's own answers between them; the assistant's turns of the
file are the references.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pydantic import Field

import judgekit
import judgekit.data


class ConversationOptions(judgekit.Options):
    """`most_turns`: each conversation is cut after so many turns of the user; None: whole. `format` (sharegpt,
    messages, mt-bench, alpaca, dolly) is seen from the items where it is not named; `mapping`: which field is what."""

    path: str
    format: str | None = None
    most_turns: int | None = Field(None, ge=1)
    mapping: dict[str, str | judgekit.data.Constant] = Field(default_factory=dict)


class Conversations(judgekit.DataLoader):
    """Conversations of several turns: ShareGPT, OpenAI messages or MT-Bench, JSON or JSONL."""

    Options: ClassVar[type[judgekit.Options]] = ConversationOptions
    options: ConversationOptions

    def inputs(self) -> list[Path]:
        return [self.path(self.options.path)]

    def load(self) -> Iterator[judgekit.Sample]:
        options = self.options
        path = self.path(options.path)
        talks = judgekit.data.read_conversations(path, options.most_turns, options.format, options.mapping)
        return (talk.sample for talk in talks)
