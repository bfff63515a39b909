"""The backend `transformers`: a Hugging Face model folder or a GGUF file under PyTorch, no server, no network."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, JsonValue

from judgekit import (
    Backend,
    BackendError,
    CheckpointError,
    JudgekitError,
    Options,
    Problem,
    Reply,
    Request,
    UsageError,
    install_hint,
)
from judgekit_transformers.checkpoint import SMOLLM2, located, sha256
from judgekit_transformers.metadata import Metadata, metadata_of, refuse_vocabulary

ADAPTER = 3  # part of the identity; raise it when the same request would get another answer
SMOLLM2_ADAPTER = 1  # the same for `model: smollm2` in float32 with its template, whose answers have not changed since
BATCH = 8  # answers written at once, where the config does not say
LIBRARIES = ("torch", "transformers", "tokenizers")
_INSTALL = f"is not installed: {install_hint('hf')}"


class TransformersOptions(Options):
    """`model`: a model folder (config.json, safetensors, tokenizer), the path of a GGUF file, "smollm2", or a hub id
    that is in the hub's cache on this machine, at `revision`. Nothing is downloaded.

    `kind`: what it must be; auto: either. `chat`: put messages into the model's chat template; auto: if it has one.
    `dtype`: what is computed in; bfloat16 halves the memory and loses the third digit of a log-probability.
    `batch`: how many answers are written at once; None: 8 in float32, else 1. `max_length`: the most tokens that the
    model reads, in place of what its config says.
    """

    model: str = Field(SMOLLM2, min_length=1)
    revision: str | None = Field(None, min_length=1)
    kind: Literal["auto", "causal", "seq2seq"] = "auto"
    device: str = Field("cpu", pattern=r"^(cpu|mps|cuda(:\d+)?)$")
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    chat: Literal["auto"] | bool = "auto"
    batch: int | None = Field(None, ge=1)
    max_length: int | None = Field(None, ge=2)


class TransformersBackend(Backend):
    """Answers and log-likelihoods by PyTorch, from causal models and from those with an encoder and a decoder.

    A reply does not depend on the other requests of its batch. In low precision it may, where two tokens are nearly
    tied: there only an explicit `batch` makes batches, and is part of the identity.
    """

    Options: ClassVar[type[Options]] = TransformersOptions
    options: TransformersOptions
    capabilities: ClassVar[frozenset[str]] = frozenset({"generate", "chat", "loglikelihood", "logprobs", "seed"})
    free: ClassVar[bool] = True
    max_concurrency = 1
    default_prompts: ClassVar[Mapping[str, str]] = {
        "score": "score/likelihood_ratio.j2",
        "pairwise": "pairwise/likelihood_ratio.j2",
    }

    def __init__(self, options: Any = None, where: Path = Path()) -> None:
        super().__init__(options, where)
        self.max_batch = self.options.batch or (BATCH if self.options.dtype == "float32" else 1)
        self._lock = threading.Lock()
        self._located: Path | None = None
        self._sha256 = ""
        self._loaded: Any = None  # loading.Loaded

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        loaded = self._ready()
        from judgekit_transformers import generation

        return generation.generate(loaded, requests, self._chat(loaded.tokenizer.chat_template), self._max_length)

    def loglikelihood(self, requests: Sequence[Request]) -> list[Reply]:
        loaded = self._ready()
        from judgekit_transformers.loglikelihood import loglikelihood

        chat = self._chat(loaded.tokenizer.chat_template)
        return [loglikelihood(loaded, request, chat, self._max_length) for request in requests]

    def identity(self) -> dict[str, JsonValue]:
        """Raises CheckpointError without the model, BackendError without the libraries."""
        options = self.options
        versions = {name: version_of(name) for name in LIBRARIES}
        as_ever = options.model == SMOLLM2 and options.dtype == "float32" and options.chat is not False
        identity: dict[str, JsonValue] = {
            "adapter": f"transformers/{SMOLLM2_ADAPTER if as_ever else ADAPTER}",
            "sha256": self._digest(),
            **versions,
            "device": options.device,
            "dtype": options.dtype,
            "chat": options.chat,
        }
        if options.max_length is not None:
            identity["max_length"] = options.max_length
        if options.dtype != "float32" and self.max_batch > 1:
            identity["batch"] = self.max_batch
        return identity

    def check(self) -> list[Problem]:
        """The libraries are installed, and a model is there that can do what the options ask."""
        problems = []
        looks: list[Callable[[], object]] = [*(lambda name=name: version_of(name) for name in LIBRARIES)]
        for look in [*looks, self._check_device, self._metadata]:
            try:
                look()
            except JudgekitError as error:
                text, code = str(error), error.exit_code
                problems.append(Problem(severity="error", where="transformers", message=text, exit_code=code))
        if self.options.dtype != "float32" and self.max_batch > 1:
            dtype = self.options.dtype
            text = f"in {dtype} a near tie is decided by what else is in the batch: a resumed run may write otherwise"
            problems.append(Problem(severity="warning", where="transformers", message=f"{text}; batch: 1 does not"))
        return problems

    def doctor(self) -> Iterable[tuple[str, bool | None, str]]:
        problems = self.check()
        for problem in problems:
            yield problem.where, None if problem.severity == "warning" else False, problem.message
        if any(problem.severity == "error" for problem in problems):
            return
        known, path = self._metadata(), self._path()
        yield "libraries", True, ", ".join(f"{name} {version_of(name)}" for name in LIBRARIES)
        kind = "an encoder and a decoder" if known.kind == "seq2seq" else "causal"
        yield "model", True, f"{known.name} ({kind}) in {path}"
        limit = self._max_length or known.window
        reads = f"up to {limit:,} tokens" if limit else "its config names no limit; set max_length"
        yield "reads", True if limit else None, reads
        template = "the model's chat template" if self._chat(known.chat_template) else "as plain text"
        yield "messages", True, f"{template} (chat: {str(self.options.chat).lower()})"
        yield "computes", True, f"{self.options.dtype} on {self.options.device}, {self.max_batch} answers at once"
        yield "offers", True, ", ".join(sorted(self.capabilities)) + "; no JSON schema"

    def lacks(self, capability: str) -> str:
        try:
            plain = capability == "chat" and not self._chat(self._metadata().chat_template)
        except CheckpointError:
            return ""  # `check` says what is wrong; and a model that is still to be trained cannot be looked at
        return "the model has no chat template (or chat: false): it reads plain text" if plain else ""

    def rest(self) -> None:
        self.close()

    def close(self) -> None:
        """Another backend of this process with the same model keeps it in memory."""
        with self._lock:
            self._loaded = None

    @property
    def _max_length(self) -> int | None:
        return self.options.max_length

    def _chat(self, template: Any) -> bool:
        return bool(template) if self.options.chat == "auto" else self.options.chat

    def _ready(self) -> Any:
        with self._lock:
            if self._loaded is None:
                for name in LIBRARIES:
                    version_of(name)
                from judgekit_transformers.loading import load

                self._check_device()
                self._metadata()
                path = self._path()
                self._sha256 = self._sha256 or sha256(path)
                loaded = load(path, self._sha256, self.options.dtype, self.options.device)
                self._check_kind(loaded.kind, type(loaded.model).__name__, path)
                self._loaded = loaded
            return self._loaded

    def _digest(self) -> str:
        with self._lock:
            self._sha256 = self._sha256 or sha256(self._path())
            return self._sha256

    def _path(self) -> Path:
        if self._located is None:
            options = self.options
            path = located(options.model, self.path(options.model), options.revision)
            if path.is_file():
                version_of("gguf")
            self._located = path
        return self._located

    def _metadata(self) -> Metadata:
        """The model's metadata. Raises CheckpointError where it cannot do what the options ask."""
        path = self._path()
        known, options = metadata_of(path), self.options
        self._check_kind(known.kind, known.name, path)
        refuse_vocabulary(known.base_tokens, known.rows, path)
        if options.chat is True and not known.chat_template:
            raise CheckpointError(
                "chat: true, and the model has no chat template; chat: auto asks in plain text", path=path
            )
        if options.max_length and known.fixed and known.window and options.max_length > known.window:
            raise CheckpointError(f"max_length {options.max_length}, and the model reads {known.window}", path=path)
        return known

    def _check_kind(self, kind: str, name: str, path: Path) -> None:
        if self.options.kind not in ("auto", kind):
            has = "an encoder and a decoder" if kind == "seq2seq" else "no encoder"
            raise CheckpointError(f"{name} has {has}, which is not kind: {self.options.kind}", path=path)

    def _check_device(self) -> None:
        """Raises UsageError for a device that PyTorch has not."""
        if self.options.device == "cpu" or importlib.util.find_spec("torch") is None:
            return
        import torch

        try:
            torch.empty(0, device=self.options.device)
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            reason = (str(error).strip().splitlines() or [""])[0]
            raise UsageError(f"device {self.options.device!r} cannot be used: {reason}") from None


def version_of(name: str) -> str:
    """Raises BackendError where the library is not installed."""
    if importlib.util.find_spec(name) is None:
        raise BackendError(f"{name} {_INSTALL}")
    return importlib.metadata.version(name)
