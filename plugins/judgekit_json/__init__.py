"""The reporter `json`: one flat file, `summary.json`, for scripts and dashboards (its shape: summary.py)."""

from __future__ import annotations

import judgekit


@judgekit.hookimpl
def judgekit_reporters() -> dict[str, judgekit.Reporter]:
    from judgekit_json.summary import summary

    return {"json": summary}
