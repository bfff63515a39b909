"""An Ollama server's facts about itself and about one model: small questions, apart from the chat."""

from __future__ import annotations

import difflib
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from judgekit import AuthError, BackendError, CallError, Http, ModelNotFound, Secret, Unreachable
from judgekit_ollama.host import CLOUD, parse_host


@dataclass(frozen=True)
class ModelFacts:
    """The server's facts about a model: None where it does not say."""

    context_length: int | None
    thinks: bool | None


class Server:
    """The server at `host` (or OLLAMA_HOST), asked about `model`. Every method raises BackendError for any fault, such
    as AuthError, ModelNotFound and Unreachable. An answer is kept and not asked for again."""

    def __init__(self, host: str | None, key_env: str | None, model: str) -> None:
        self._host = host
        self._key_env = key_env
        self.model = model
        self._lock = threading.Lock()
        self._known: dict[str, Mapping[str, Any]] = {}

    @property
    def address(self) -> str:
        try:
            return parse_host(self._host if self._host is not None else os.environ.get("OLLAMA_HOST", ""))
        except ValueError as error:
            raise BackendError(f"OLLAMA_HOST: {error}") from None

    def http(self, deadline: float = 10.0, retries: int = 1) -> Http:
        """A client with the key that belongs to this server."""
        address = self.address
        key = None
        if self._key_env or self._host is None or address.startswith(CLOUD):
            key = Secret.from_env(self._key_env or "OLLAMA_API_KEY")
        if self._key_env and key is None:
            raise AuthError(f"no API key for the Ollama server: set the environment variable {self._key_env}")
        return Http(address, key=key, deadline=deadline, connect_timeout=min(deadline, 10.0), retries=retries)

    def version(self) -> str:
        version = self._ask("api/version").get("version")
        if not isinstance(version, str):
            raise BackendError(f"{self.address}/api/version tells no version; is this an Ollama server?")
        return version

    def digest(self) -> str:
        """The model's digest, from the server's list. Raises ModelNotFound."""
        models = self._ask("api/tags").get("models")
        wanted, listed = _full_name(self.model), []
        for model in models if isinstance(models, list) else []:
            names = [model.get("name"), model.get("model")] if isinstance(model, dict) else []
            listed += [name for name in names if isinstance(name, str)]
            if wanted in [_full_name(name) for name in names if isinstance(name, str)]:
                if isinstance(model.get("digest"), str) and model["digest"]:
                    return str(model["digest"])
                raise BackendError(f"{self.address}/api/tags gives no digest of {self.model!r}")
        raise self.missing(listed)

    def facts(self) -> ModelFacts:
        """The facts about the model; empty ones from a server that does not say."""
        try:
            shown = self._ask("api/show", {"model": self.model})
        except BackendError:
            return ModelFacts(None, None)
        info, can = shown.get("model_info"), shown.get("capabilities")
        info = info if isinstance(info, dict) else {}
        length = next((value for name, value in info.items() if name.endswith(".context_length")), None)
        length = length if isinstance(length, int) and length > 0 else None
        return ModelFacts(length, "thinking" in can if isinstance(can, list) else None)

    def down(self, error: Unreachable) -> Unreachable:
        return Unreachable(f"no Ollama server at {self.address}: start it with `ollama serve` ({error.message})")

    def missing(self, listed: Sequence[str] = ()) -> ModelNotFound:
        model, near = self.model, difflib.get_close_matches(self.model, listed, 1, 0.6)
        meant = f"; or did you mean {near[0]!r}, which it has?" if near else ""
        return ModelNotFound(f"Ollama has no model {model!r}: get it with `ollama pull {model}`{meant}")

    def locked(self, error: AuthError) -> AuthError:
        name = self._key_env or "OLLAMA_API_KEY"
        return AuthError(f"{error.message}; is {name} set to this server's key?")

    def _ask(self, path: str, body: JsonValue = None) -> Mapping[str, Any]:
        with self._lock:
            if path not in self._known:
                self._known[path] = self._fetch(path, body)
            return self._known[path]

    def _fetch(self, path: str, body: JsonValue) -> Mapping[str, Any]:
        http, address = self.http(), self.address
        try:
            with http:
                body_ = (http.get(path) if body is None else http.post(path, body)).body
        except Unreachable as error:
            raise self.down(error) from error
        except AuthError as error:
            raise self.locked(error) from error
        except CallError as error:
            ending = next((end for end in ("/v1", "/api", "/api/chat") if address.endswith(end)), "")
            mend = f"set host: {address.removesuffix(ending)}" if ending else "is this an Ollama server?"
            raise BackendError(f"{error.message}; {mend}") from error
        if not isinstance(body_, dict):
            raise BackendError(f"{self.address}/{path} is not Ollama's; is this an Ollama server?")
        return body_


def _full_name(name: str) -> str:
    """A model's name as the server compares it: without the default registry, with a tag, whatever its case."""
    name = name.lower().removeprefix("registry.ollama.ai/").removeprefix("library/")
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
