"""Already generated responses as a system under test: a file of answers, matched to the samples by id."""

from __future__ import annotations

from typing import TYPE_CHECKING

import judgekit

if TYPE_CHECKING:
    from collections.abc import Mapping


@judgekit.hookimpl
def judgekit_backends() -> Mapping[str, type[judgekit.Backend]]:
    from judgekit_responses.stored import StoredResponses

    return {"responses": StoredResponses}
