"""The backend `example`: it answers without a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import judgekit


class ExampleOptions(judgekit.Options):
    """`ending`: what stands behind every answer."""

    ending: str = "!"


class ExampleBackend(judgekit.Backend):
    """Answers with the prompt in capitals."""

    Options: ClassVar[type[judgekit.Options]] = ExampleOptions
    options: ExampleOptions

    def generate(self, requests: Sequence[judgekit.Request]) -> list[judgekit.Reply]:
        """One reply a request. A heavy library is imported here, and a model loaded, not above."""
        return [judgekit.Reply(text=f"{request.prompt.upper()}{self.options.ending}") for request in requests]
