"""The reporter `json`: one flat file, `summary.json`, for scripts and dashboards (its shape: summary.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import judgekit

if TYPE_CHECKING:
    from collections.abc import Mapping


@judgekit.hookimpl
def judgekit_reporters() -> Mapping[str, judgekit.Reporter]:
    from judgekit_json.summary import summary

    return {"json": summary}
