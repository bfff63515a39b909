"""A folder with seeds, and a real chat server that writes by rule."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from openai_fake import OpenAIFake
from scripted_writer import write


@pytest.fixture
def server() -> Iterator[OpenAIFake]:
    with OpenAIFake(write) as fake:
        yield fake


@pytest.fixture
def writer(server: OpenAIFake) -> list[str]:
    """Options that name the server as the backend."""
    return ["--backend", "openai", "--set", "model=m", "--set", f"base_url={server.base_url}", "--set", "retries=0"]


@pytest.fixture
def here(tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(checkout / "examples" / "synthesis" / "seeds.json", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUDGEKIT_PROGRESS", "none")
    return tmp_path
