"""The backend `transformers`: a Hugging Face model folder or a GGUF file under PyTorch, no server, no network."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, JsonValue

from judgekit import Backend, BackendError, CallError, JudgekitError, Options, Problem, Reply, Request
from judgekit_transformers.checkpoint import SMOLLM2, checked, sha256, smollm2

ADAPTER = 1  # part of the identity; raise it when the same request would get another answer
_LIBRARIES = ("torch", "transformers", "tokenizers")
_INSTALL = "is not installed: pip install 'judgekit[hf]'"


class TransformersOptions(Options):
    """`model`: a model folder (config.json, safetensors, tokenizer), the path of a GGUF file, or "smollm2".

    `chat`: put messages into the model's chat template; auto: if it has one. `dtype`: what is computed in; bfloat16
    halves the memory and loses the third digit of a log-probability.
    """

    model: str = Field(SMOLLM2, min_length=1)
    device: str = Field("cpu", pattern=r"^(cpu|mps|cuda(:\d+)?)$")
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    chat: Literal["auto"] | bool = "auto"


class TransformersBackend(Backend):
    """Answers and log-likelihoods by PyTorch, one request at a time."""

    Options: ClassVar[type[Options]] = TransformersOptions
    options: TransformersOptions
    capabilities: ClassVar[frozenset[str]] = frozenset({"generate", "loglikelihood", "seed"})
    max_batch = 1
    max_concurrency = 1
    default_prompts: ClassVar[Mapping[str, str]] = {
        "score": "score/likelihood_ratio.j2",
        "pairwise": "pairwise/likelihood_ratio.j2",
    }

    def __init__(self, options: Any = None, where: Path = Path()) -> None:
        super().__init__(options, where)
        self._lock = threading.Lock()
        self._sha256 = ""
        self._loaded: Any = None  # loading.Loaded

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        from judgekit_transformers import engine

        if any(request.json_schema is not None for request in requests):
            raise CallError("the backend transformers cannot hold an answer to a JSON schema")
        return self._each(engine.generate, requests)

    def loglikelihood(self, requests: Sequence[Request]) -> list[Reply]:
        from judgekit_transformers import engine

        return self._each(engine.loglikelihood, requests)

    def _each(self, ask: Callable[[Any, Request, bool], Reply], requests: Sequence[Request]) -> list[Reply]:
        loaded = self._ready()
        chat = self.options.chat
        use_chat = bool(loaded.tokenizer.chat_template) if chat == "auto" else chat
        return [ask(loaded, request, use_chat) for request in requests]

    def identity(self) -> dict[str, JsonValue]:
        """Raises CheckpointError without the model, BackendError without the libraries."""
        versions = {name: _version(name) for name in _LIBRARIES}
        options = self.options.model_dump(mode="json", exclude={"model"})
        return {"adapter": f"transformers/{ADAPTER}", "sha256": self._digest(), **versions, **options}

    def check(self) -> list[Problem]:
        """The libraries are installed, and a model is there."""
        problems = []
        looks: list[Callable[[], object]] = [*(lambda name=name: _version(name) for name in _LIBRARIES), self._path]
        for look in looks:
            try:
                look()
            except JudgekitError as error:
                text, code = str(error), error.exit_code
                problems.append(Problem(severity="error", where="transformers", message=text, exit_code=code))
        return problems

    def close(self) -> None:
        with self._lock:
            self._loaded = None

    def _ready(self) -> Any:
        with self._lock:
            if self._loaded is None:
                for name in _LIBRARIES:
                    _version(name)
                from judgekit_transformers.loading import load

                path = self._path()
                self._sha256 = self._sha256 or sha256(path)
                self._loaded = load(path, self._sha256, self.options.dtype, self.options.device)
            return self._loaded

    def _digest(self) -> str:
        with self._lock:
            self._sha256 = self._sha256 or sha256(self._path())
            return self._sha256

    def _path(self) -> Path:
        path = checked(smollm2() if self.options.model == SMOLLM2 else self.path(self.options.model))
        if path.is_file():
            _version("gguf")
        return path


def _version(name: str) -> str:
    """Raises BackendError where the library is not installed."""
    if importlib.util.find_spec(name) is None:
        raise BackendError(f"{name} {_INSTALL}")
    return importlib.metadata.version(name)
