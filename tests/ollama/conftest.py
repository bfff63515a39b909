import pytest


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in ("OLLAMA_HOST", "OLLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)
