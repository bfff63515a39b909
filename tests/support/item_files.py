"""Items in two formats, and files of them, as the tests of judgekit.data write them."""

from __future__ import annotations

import json
from pathlib import Path

ALPACA = [
    {"instruction": "Give the plural.", "input": "mouse", "output": "mice"},
    {"id": 7, "category": "지리", "instruction": "수도는?", "input": "", "output": "서울 🏙️", "level": {"of": [1, 2.5]}},
    {"instruction": "Say\n\nnothing.", "input": "a\n\nb", "output": "…\n", "tags": ["x"]},
    {"instruction": "Unanswered?", "input": ""},
]  # fmt: skip
SHAREGPT = [
    {"id": "t", "conversations": [
        {"from": "system", "value": "Be brief."}, {"from": "human", "value": "Hi."},
        {"from": "gpt", "value": "안녕 🙂"},
        {"from": "human", "value": "And?"}, {"from": "gpt", "value": "Bye.", "weight": 0},
    ]},
    {"conversations": [{"from": "human", "value": "Alone?"}], "source": "web"},
]  # fmt: skip


def write(folder: Path, content: object, name: str = "items.json") -> Path:
    """The content as a file of that name: a text as it stands, objects as an array or one a line."""
    path = folder / name
    if isinstance(content, str):
        path.write_text(content, "utf-8")
    elif name.endswith(".jsonl"):
        path.write_text("".join(json.dumps(one) + "\n" for one in content), "utf-8")  # type: ignore[attr-defined]
    else:
        path.write_text(json.dumps(content, indent=1), "utf-8")
    return path
