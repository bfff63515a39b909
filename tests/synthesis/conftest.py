"""A folder with seeds, and a real chat server that writes by rule."""

import shutil

import pytest

from openai_fake import OpenAIFake
from scripted_writer import write


@pytest.fixture
def server():
    with OpenAIFake(write) as fake:
        yield fake


@pytest.fixture
def writer(server):
    """Options that name the server as the backend."""
    return ["--backend", "openai", "--set", "model=m", "--set", f"base_url={server.base_url}", "--set", "retries=0"]


@pytest.fixture
def here(tmp_path, checkout, monkeypatch):
    shutil.copy(checkout / "examples" / "synthesis" / "seeds.json", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUDGEKIT_PROGRESS", "none")
    return tmp_path
