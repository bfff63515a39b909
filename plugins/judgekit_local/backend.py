"""The backend `local`: llama.cpp's own server inside this process, asked over loopback like any chat server.

It starts at the first request and stops with the backend. Its decoding is plain: llama.cpp's usual cuts (top_k 40,
top_p 0.95, min_p 0.05) are off unless asked for, and no prompt is answered from a cache, which would make a reply
depend on the ones before it. More than one slot (`n_parallel`) computes several requests in one batch, which can
change the last digits of a probability, and so, rarely, a word.

Log-probabilities are the model's own, before the temperature and before a JSON schema narrows what may follow: under
a schema a token may have been chosen although others were likelier.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import secrets
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, JsonValue

from judgekit import (
    Backend,
    BackendError,
    CallError,
    Http,
    JudgekitError,
    Message,
    Options,
    Problem,
    Reply,
    Request,
    Sampling,
    Secret,
    counted,
    install_hint,
)
from judgekit_local.gguf import SMOLLM2, checked, sha256, smollm2
from judgekit_openai.chat import ChatClient, Dialect

ADAPTER = 1  # part of the identity; raise it when the same request would be worded differently
_INSTALL = f"llama.cpp is not installed: {install_hint('local')}"
_SOON = 0.5  # seconds that `close` waits for the end of the server
_NO_SEED = 2**32 - 1  # llama.cpp reads 32 bits of a seed, and this one as "draw one at random"


class LocalOptions(Options):
    """`model`: the path of a GGUF file, or "smollm2". `n_ctx`: tokens of context for each of `n_parallel` slots.

    `threads` defaults to the cores less one: llama.cpp's threads wait for each other by spinning, and with a thread
    on every core any other work on the machine makes it several times slower. It does not change the answers.
    """

    model: str = Field(SMOLLM2, min_length=1)
    n_ctx: int = Field(2048, ge=64)
    n_parallel: int = Field(1, ge=1, le=64)
    threads: int | None = Field(None, ge=1)
    deadline: float = Field(600.0, gt=0)


class LocalBackend(Backend):
    """Answers by llama.cpp."""

    Options: ClassVar[type[Options]] = LocalOptions
    options: LocalOptions
    capabilities: ClassVar[frozenset[str]] = frozenset({"generate", "chat", "logprobs", "schema", "seed"})
    free: ClassVar[bool] = True

    def __init__(self, options: Any = None, where: Path = Path()) -> None:
        super().__init__(options, where)
        self.max_concurrency = self.options.n_parallel
        self._lock = threading.Lock()
        self._server: Any = None  # xllamacpp.Server, which has no types; it stops when nothing refers to it
        self._client: ChatClient | None = None
        self._sha256 = ""

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        client = self._started()
        return [client.ask(_seeded(request)) for request in requests]

    def identity(self) -> dict[str, JsonValue]:
        """Raises CheckpointError without the file, BackendError without llama.cpp."""
        with self._lock:
            self._sha256 = self._sha256 or sha256(self._gguf())
        return {
            "adapter": f"local/{ADAPTER}",
            "sha256": self._sha256,
            "xllamacpp": _version(),
            "n_ctx": self.options.n_ctx,
            "n_parallel": self.options.n_parallel,
        }

    def check(self) -> list[Problem]:
        """llama.cpp is installed, and the model is a GGUF file."""
        problems = []
        for looks in (_version, self._gguf):
            try:
                looks()
            except JudgekitError as error:
                text = str(error)
                problems.append(Problem(severity="error", where="local", message=text, exit_code=error.exit_code))
        return problems

    def doctor(self) -> Iterable[tuple[str, bool | None, str]]:
        """The parts, and one short reply of the model itself, held to a schema and with log-probabilities."""
        for what, look in (("llama.cpp", _version), ("model", self._describe)):
            try:
                yield what, True, look()
            except JudgekitError as error:
                yield what, False, str(error)
                return
        question = Message(role="user", content="Is water wet? Answer yes or no, as JSON.")
        sampling = Sampling(max_new_tokens=8, temperature=0.0, seed=0)
        schema: dict[str, JsonValue] = {"enum": ["yes", "no"]}
        try:
            [reply] = self.generate(
                [Request(messages=(question,), sampling=sampling, json_schema=schema, top_logprobs=5)]
            )
            trained = self._trained_context()
        except JudgekitError as error:
            yield "reply", False, error.message
            return
        yield "reply", True, f"loaded, and answers {reply.text or 'nothing'}"
        yield self._context_line(trained)
        yield "JSON schema", reply.text in map(json.dumps, ("yes", "no")), f"asked for yes or no, got {reply.text}"
        yield "log-probabilities", bool(reply.tokens), f"of {counted(len(reply.tokens), 'token')}"

    def context_length(self) -> int | None:
        return self.options.n_ctx

    def rest(self) -> None:
        self.close()

    def close(self) -> None:
        """End the calls under way and stop the server: at once, or seconds later, when llama.cpp has seen who left.

        Dropping the server stops all of Python, signals included, until llama.cpp computes no more, and for ever if
        a client still waits. So it is left to a thread that drops it at rest.
        """
        with self._lock:
            if self._client is None:
                return
            self._client.http.close()
            key = self._client.http.key
            closing = threading.Thread(target=_wait_for_rest, args=(self._server, key), name="judgekit-local-close")
            self._client = self._server = None  # the thread's is now the last reference
        closing.start()
        closing.join(_SOON)

    def _started(self) -> ChatClient:
        with self._lock:
            if self._client is None:
                self._client = self._start()
            return self._client

    def _start(self) -> ChatClient:
        """Load the model and listen on a free port of 127.0.0.1. Takes 0.4 to 1.5 s for a small model.

        All of Python stands still meanwhile, so Ctrl-C is heard when the model is loaded.
        """
        path = self._gguf()
        _version()
        import xllamacpp

        key = Secret(secrets.token_urlsafe(32), "the key of the llama.cpp server")
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.hostnames, params.port = ["127.0.0.1"], 0
        params.api_keys = [key.reveal()]  # other users and web pages of this machine reach loopback too
        params.n_parallel, params.n_ctx = self.options.n_parallel, self.options.n_ctx * self.options.n_parallel
        threads = self.options.threads or max(1, _cores() - 1)
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.verbosity = 0  # nothing on the user's terminal
        params.warmup = params.ui = False
        params.endpoint_slots = True  # tells when it is idle
        params.cache_ram_mib = 0
        try:
            self._server = xllamacpp.Server(params)
        except RuntimeError as error:
            broken = f"{path}: llama.cpp cannot load it: damaged, of an unknown kind, or too large for the memory"
            raise BackendError(broken) from error
        http = Http(self._server.listening_address + "/v1", key=key, deadline=self.options.deadline, retries=1)
        dialect = Dialect(
            max_tokens_field="max_tokens",
            response_format="json_schema",
            defaults={"temperature": 0.0, "top_p": 1.0, "top_k": 0},
            extra={"cache_prompt": False, "min_p": 0.0},
        )
        return ChatClient(http, self.options.model, dialect)

    def _describe(self) -> str:
        return f"{self._gguf()}, sha256 {str(self.identity()['sha256'])[:12]}"

    def _trained_context(self) -> int | None:
        """The tokens of context that the model was made for; None where the file does not say."""
        models = self._started().http.get("models").body.get("data")
        size = models[0].get("meta", {}).get("n_ctx_train") if models else None
        return size if isinstance(size, int) and size > 0 else None

    def _context_line(self, trained: int | None) -> tuple[str, bool | None, str]:
        wanted = self.options.n_ctx
        if trained is None:
            return "context length", None, f"not told by the model; n_ctx is {wanted}"
        mend = "" if wanted <= trained else f": lower n_ctx to {trained} or less"
        return "context length", not mend, f"{trained} by the model, n_ctx is {wanted}{mend}"

    def _gguf(self) -> Path:
        return checked(smollm2() if self.options.model == SMOLLM2 else self.path(self.options.model))


def _seeded(request: Request) -> Request:
    """The request with a seed that llama.cpp accepts; all below 2³² − 1 stay as they are."""
    sampling = request.sampling
    if sampling.seed is None or sampling.seed < _NO_SEED:
        return request
    return request.model_copy(update={"sampling": sampling.model_copy(update={"seed": sampling.seed % _NO_SEED})})


def _wait_for_rest(server: Any, key: Secret | None) -> None:
    """Wait until the server is idle. Raises nothing; a server that is gone is idle too.

    llama.cpp looks whether a client is still there only when it has answered nobody for a second: to ask it more
    often would keep it computing to the end of the reply.
    """
    with Http(server.listening_address, key=key, deadline=60.0, retries=0, paced=False) as http:
        while True:
            try:
                if not any(slot["is_processing"] for slot in http.get("slots").body):
                    return
            except CallError:
                pass  # it is busy for longer than the deadline
            except BackendError:
                return
            time.sleep(1.5)


def _version() -> str:
    """Raises BackendError where xllamacpp is not installed."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise BackendError(_INSTALL)
    return importlib.metadata.version("xllamacpp")


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
