"""An emulation of an Ollama server on loopback: the native API (about v0.33) over a real model or a script.

It is not Ollama. Its shapes are proven by the official `ollama` client in tests/ollama_backend; its manners (what
is refused, what is cut silently) follow Ollama's documentation and source.
By hand: `python tests/support/ollama_emulation.py --port 11434 [--reply 85]`; without --reply, SmolLM2 answers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from json_server import Answer, Call, JsonServer

Messages = list[dict[str, Any]]

_OPTIONS = """
    num_ctx num_batch num_gpu main_gpu use_mmap num_thread num_keep seed num_predict top_k top_p min_p typical_p
    repeat_last_n temperature repeat_penalty presence_penalty frequency_penalty stop draft_num_predict
"""
OPTIONS = frozenset(_OPTIONS.split())
TOO_LONG = "the input length exceeds the context length"


@dataclass(frozen=True)
class Spoken:
    """What a mind said: text, why it ended (stop, length), the tokens made, and the thoughts of a thinking model."""

    text: str
    done_reason: str = "stop"
    tokens: int = 1
    thinking: str | None = None


class Mind(Protocol):
    def count(self, messages: Messages) -> int:
        """Tokens of the prompt."""

    def speak(self, messages: Messages, options: dict[str, Any], schema: Any) -> Spoken:
        """The answer."""


class Script:
    """A mind by a function of the request, which counts a word as a token and four more a message."""

    def __init__(self, function: Callable[[Messages, dict[str, Any], Any], Spoken | str] | str) -> None:
        self.function = function if callable(function) else lambda messages, options, schema: function

    def count(self, messages: Messages) -> int:
        return sum(len(message["content"].split()) + 4 for message in messages)

    def speak(self, messages: Messages, options: dict[str, Any], schema: Any) -> Spoken:
        spoken = self.function(messages, options, schema)
        return Spoken(spoken) if isinstance(spoken, str) else spoken


class Llama:
    """A mind by llama.cpp's server at `url`: a real model."""

    def __init__(self, url: str) -> None:
        self.url = url

    def count(self, messages: Messages) -> int:
        prompt = self._post("/apply-template", {"messages": messages})["prompt"]
        return len(self._post("/tokenize", {"content": prompt, "parse_special": True})["tokens"])

    def speak(self, messages: Messages, options: dict[str, Any], schema: Any) -> Spoken:
        names = {"num_predict": "max_tokens"}
        kept = ("seed", "temperature", "top_k", "top_p", "min_p", "stop", "num_predict")
        body = {names.get(name, name): options[name] for name in kept if name in options}
        if schema:
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "format", "schema": schema}}
        completion = self._post("/v1/chat/completions", {"messages": messages, "cache_prompt": False, **body})
        choice = completion["choices"][0]
        return Spoken(choice["message"]["content"], choice["finish_reason"], completion["usage"]["completion_tokens"])

    def _post(self, path: str, body: Any) -> Any:
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.load(response)


class OllamaEmulation(JsonServer):
    """`models` are served, others are a 404. `faults` are given before any chat is answered, one a call.

    A version before 0.12.4 ignores `truncate` and cuts long prompts silently, as such servers do.
    `unknown_options` collects what a real server would only write into its log.
    """

    def __init__(
        self,
        mind: Mind,
        *,
        models: Sequence[str] = ("llama3:latest",),
        version: str = "0.33.0",
        thinks: bool = False,
        context_length: int = 8192,
        faults: Sequence[Answer] = (),
        port: int = 0,
    ) -> None:
        super().__init__(port=port)
        self.mind = mind
        self.models = models
        self.version = version
        self.thinks = thinks
        self.context_length = context_length
        self.faults = list(faults)
        self.unknown_options: set[str] = set()

    @property
    def chats(self) -> list[dict[str, Any]]:
        """The bodies of the chat requests so far."""
        return [call.body for call in self.calls if call.path == "/api/chat"]

    def respond(self, call: Call) -> Answer:
        match call.method, call.path:
            case "GET", "/":
                return Answer("Ollama is running")
            case "GET", "/api/version":
                return Answer({"version": self.version})
            case "GET", "/api/tags":
                return Answer({"models": [self._listed(name) for name in self.models]})
            case "POST", "/api/show":
                return self._show(call.body)
            case "POST", "/api/chat":
                return self.faults.pop(0) if self.faults else self._chat(call.body)
        return Answer("404 page not found", status=404)

    def _knows(self, name: str) -> bool:
        return name in self.models or f"{name}:latest" in self.models

    def _listed(self, name: str) -> dict[str, Any]:
        digest = hashlib.sha256(name.encode()).hexdigest()
        return {
            "name": name,
            "model": name,
            "modified_at": "2026-01-02T03:04:05.678901+00:00",
            "size": 91_732_000,
            "digest": digest,
            "details": self._details(),
        }

    def _details(self) -> dict[str, Any]:
        return {
            "parent_model": "",
            "format": "gguf",
            "family": "llama",
            "families": ["llama"],
            "parameter_size": "134.52M",
            "quantization_level": "Q4_1",
        }

    def _show(self, body: Any) -> Answer:
        if not self._knows(body.get("model", "")):
            return _error(404, f"model '{body.get('model')}' not found")
        facts = {"general.architecture": "llama", "llama.context_length": self.context_length}
        return Answer(
            {
                "modelfile": "FROM smollm2",
                "parameters": 'stop "<|im_end|>"',
                "template": "{{ .Prompt }}",
                "details": self._details(),
                "model_info": facts,
                "capabilities": ["completion", *(["thinking"] if self.thinks else [])],
                "modified_at": "2026-01-02T03:04:05.678901+00:00",
            }
        )

    def _chat(self, body: Any) -> Answer:
        name, messages, options = body.get("model", ""), body.get("messages") or [], body.get("options") or {}
        self.unknown_options |= options.keys() - OPTIONS
        if not name:
            return _error(400, "model is required")
        if not self._knows(name):
            return _error(404, f"model '{name}' not found")
        if body.get("think") and not self.thinks:
            return _error(400, f'"{name}" does not support thinking')
        if not messages:
            reason = "unload" if body.get("keep_alive") == 0 else "load"
            return self._said(body, Spoken("", reason), 0)
        num_ctx = options.get("num_ctx", 4096)
        if self.mind.count(messages) > num_ctx:
            if body.get("truncate", True) is False and _numbers(self.version) >= (0, 12, 4):
                return _error(400, TOO_LONG)
            messages = self._cut(messages, num_ctx)
        try:
            spoken = self.mind.speak(messages, options, body.get("format"))
        except urllib.error.HTTPError as error:
            return _error(500, error.read().decode())
        return self._said(body, spoken, min(self.mind.count(messages), num_ctx))

    def _cut(self, messages: Messages, num_ctx: int) -> Messages:
        """What Ollama makes of a prompt that is too long: no older turns, then no beginning of the last one."""
        system = [message for message in messages if message["role"] == "system"]
        turns = [message for message in messages if message["role"] != "system"]
        while len(turns) > 1 and self.mind.count([*system, *turns]) > num_ctx:
            turns.pop(0)
        words = turns[-1]["content"].split()
        while len(words) > 8 and self.mind.count([*system, *turns]) > num_ctx:
            over = self.mind.count([*system, *turns]) - num_ctx
            words = words[:4] + words[4 + max(1, over // 2) :]
            turns[-1] = {**turns[-1], "content": " ".join(words)}
        return [*system, *turns]

    def _said(self, body: Any, spoken: Spoken, prompt_tokens: int) -> Answer:
        start = {"model": body["model"], "created_at": "2026-01-02T03:04:05.678901Z"}
        message = {"role": "assistant", "content": spoken.text}
        if spoken.thinking and body.get("think"):
            message["thinking"] = spoken.thinking
        end = {"done": True, "done_reason": spoken.done_reason, "total_duration": 2_000_000, "load_duration": 1_000_000}
        if prompt_tokens:
            end |= {"prompt_eval_count": prompt_tokens, "prompt_eval_duration": 500_000}
            end |= {"eval_count": spoken.tokens, "eval_duration": 500_000}
        if body.get("stream", True) is False:
            return Answer({**start, "message": message, **end})
        lines = [
            {**start, "message": message, "done": False},
            {**start, "message": {"role": "assistant", "content": ""}, **end},
        ]
        ndjson = "".join(json.dumps(line) + "\n" for line in lines)
        return Answer(ndjson, headers={"content-type": "application/x-ndjson"})


def _error(status: int, message: str) -> Answer:
    return Answer({"error": message}, status=status)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", action="append", help="a name to serve under; llama3:latest by default")
    parser.add_argument("--reply", help="always say this, instead of asking the real model")
    arguments = parser.parse_args()
    if arguments.reply is None:
        from real_model import llama_url

        chosen: Mind = Llama(llama_url())
    else:
        chosen = Script(arguments.reply)
    OllamaEmulation(chosen, models=arguments.model or ("llama3:latest",), port=arguments.port).serve_forever()
