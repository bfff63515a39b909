"""Already generated responses as a system under test: a file of answers, matched to the samples by id."""

from __future__ import annotations

import judgekit


@judgekit.hookimpl
def judgekit_backends() -> dict[str, type[judgekit.Backend]]:
    from judgekit_responses.stored import StoredResponses

    return {"responses": StoredResponses}
