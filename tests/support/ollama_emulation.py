"""An emulation of an Ollama server on loopback: the native API (about v0.33) over a real model or a script.

It is not Ollama. Its shapes are proven by the official `ollama` client in tests/ollama; its manners (what
is refused, what is cut silently) follow Ollama's documentation and source.
By hand: `python tests/support/ollama_emulation.py --port 11434 [--reply 85]`; without --reply, SmolLM2 answers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Protocol

from json_server import Answer, Call, JsonServer

Messages = list[dict[str, Any]]

_OPTIONS = """
    num_ctx num_batch num_gpu main_gpu use_mmap num_thread num_keep seed num_predict top_k top_p min_p typical_p
    repeat_last_n temperature repeat_penalty presence_penalty frequency_penalty stop draft_num_predict
"""
OPTIONS = frozenset(_OPTIONS.split())
DETAILS = {
    **{"parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"]},
    **{"parameter_size": "134.52M", "quantization_level": "Q4_1"},
}
TOO_LONG = "the input length exceeds the context length"


Logprobs = list[dict[str, Any]]  # {"token", "logprob", "bytes", "top_logprobs": [the same three]}


@dataclass(frozen=True)
class Spoken:
    """What a mind said: text, why it ended (stop, length), the tokens made, and the thoughts of a thinking model.

    `logprobs` of the tokens of the text: where they are not given, each word is a token of probability one half.
    """

    text: str
    done_reason: str = "stop"
    tokens: int = 1
    thinking: str | None = None
    logprobs: Logprobs | None = None


class Mind(Protocol):
    def count(self, messages: Messages) -> int:
        """Tokens of the prompt."""

    def speak(self, messages: Messages, options: dict[str, Any], schema: Any, top: int) -> Spoken:
        """The answer, with so many alternatives at each token."""


class Script:
    """A mind by a function of the request, which counts a word as a token and four more a message."""

    def __init__(self, function: Callable[[Messages, dict[str, Any], Any], Spoken | str] | str) -> None:
        self.function = function if callable(function) else lambda messages, options, schema: function

    def count(self, messages: Messages) -> int:
        return sum(len(message["content"].split()) + 4 for message in messages)

    def speak(self, messages: Messages, options: dict[str, Any], schema: Any, top: int) -> Spoken:
        spoken = self.function(messages, options, schema)
        return Spoken(spoken) if isinstance(spoken, str) else spoken


class Llama:
    """A mind by llama.cpp's server at `url`: a real model."""

    def __init__(self, url: str) -> None:
        self.url = url

    def count(self, messages: Messages) -> int:
        prompt = self._post("/apply-template", {"messages": messages})["prompt"]
        return len(self._post("/tokenize", {"content": prompt, "parse_special": True})["tokens"])

    def speak(self, messages: Messages, options: dict[str, Any], schema: Any, top: int) -> Spoken:
        names = {"num_predict": "max_tokens"}
        kept = ("seed", "temperature", "top_k", "top_p", "min_p", "stop", "num_predict")
        body = {names.get(name, name): options[name] for name in kept if name in options}
        if schema:
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "format", "schema": schema}}
        if top:
            body |= {"logprobs": True, "top_logprobs": top}
        completion = self._post("/v1/chat/completions", {"messages": messages, "cache_prompt": False, **body})
        choice = completion["choices"][0]
        logprobs = [_logprob(entry) for entry in (choice.get("logprobs") or {}).get("content") or []]
        made = completion["usage"]["completion_tokens"]
        return Spoken(choice["message"]["content"], choice["finish_reason"], made, logprobs=logprobs)

    def _post(self, path: str, body: Any) -> Any:
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.load(response)


def _logprob(entry: dict[str, Any]) -> dict[str, Any]:
    """llama.cpp's entry as Ollama passes it on."""
    token, *others = (
        {key: each[key] for key in ("token", "logprob", "bytes")} for each in (entry, *entry["top_logprobs"])
    )
    return token | {"top_logprobs": others}


def _words(text: str, top: int) -> Logprobs:
    """A token a word, of probability one half; the others are `word`, a quarter, an eighth and so on."""
    likely = [
        {"token": word, "logprob": math.log(0.5), "bytes": [*word.encode()]} for word in re.findall(r"\s*\S+", text)
    ]
    others = [{"token": f"other{i}", "logprob": math.log(0.5 ** (i + 1)), "bytes": None} for i in range(1, top)]
    return [token | {"top_logprobs": [token, *others][:top]} for token in likely]


class OllamaEmulation(JsonServer):
    """`models` are served, others are a 404. `faults` are given before any chat is answered, one a call.

    A version before 0.12.4 ignores `truncate` and cuts long prompts silently, one before 0.12.11 ignores `logprobs`,
    and 0.30.0 leaves out of prompt_eval_count what it had in its cache. A model that `thinks` may be `stubborn`: it
    cannot turn it off. `drops` names fields of the chat body that never arrive, as if a gateway stood before it.
    `unknown_options` collects what a real server would only write into its log; `pulled` tells the weights under one
    name apart.
    """

    pulled = ""

    def __init__(
        self,
        mind: Mind,
        *,
        models: Sequence[str] = ("llama3:latest",),
        version: str = "0.33.0",
        thinks: bool = False,
        stubborn: bool = False,
        drops: Sequence[str] = (),
        context_length: int = 8192,
        faults: Sequence[Answer] = (),
        port: int = 0,
    ) -> None:
        super().__init__(port=port)
        self.mind = mind
        self.models = models
        self.version = version
        self.thinks = thinks
        self.stubborn = stubborn
        self.drops = drops
        self.cached: list[str] = []  # the words of the last prompt
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
        digest = hashlib.sha256(f"{name}{self.pulled}".encode()).hexdigest()
        when = "2026-01-02T03:04:05.678901+00:00"
        listed = {"name": name, "model": name, "modified_at": when, "size": 91_732_000, "digest": digest}
        return listed | {"details": DETAILS}

    def _show(self, body: Any) -> Answer:
        if not self._knows(body.get("model", "")):
            return _error(404, f"model '{body.get('model')}' not found")
        facts = {"general.architecture": "llama", "llama.context_length": self.context_length}
        return Answer(
            {
                "modelfile": "FROM smollm2",
                "parameters": 'stop "<|im_end|>"',
                "template": "{{ .Prompt }}",
                "details": DETAILS,
                "model_info": facts,
                "capabilities": ["completion", *(["thinking"] if self.thinks else [])],
                "modified_at": "2026-01-02T03:04:05.678901+00:00",
            }
        )

    def _chat(self, body: Any) -> Answer:
        body = {name: value for name, value in body.items() if name not in self.drops}
        name, messages, options = body.get("model", ""), body.get("messages") or [], body.get("options") or {}
        self.unknown_options |= options.keys() - OPTIONS
        if refusal := self._refusal(body, name):
            return refusal
        if not messages:
            reason = "unload" if body.get("keep_alive") == 0 else "load"
            return self._said(body, Spoken("", reason), 0)
        num_ctx = options.get("num_ctx", 4096)
        read = self.mind.count(messages)
        if read > num_ctx:
            if body.get("truncate", True) is False and self._is(0, 12, 4):
                return _error(400, TOO_LONG)
            messages, read = self._cut(messages, num_ctx)
        top = body.get("top_logprobs") or 0
        if not body.get("logprobs") or not self._is(0, 12, 11):
            top = 0
        try:
            spoken = self.mind.speak(messages, options, body.get("format"), top)
        except urllib.error.HTTPError as error:
            return _error(500, error.read().decode())
        return self._said(body, spoken, read - self._from_cache(messages), top)

    def _refusal(self, body: Any, name: str) -> Answer | None:
        if not 0 <= (body.get("top_logprobs") or 0) <= 20:
            return _error(400, "top_logprobs must be between 0 and 20")
        if not name:
            return _error(400, "model is required")
        if not self._knows(name):
            return _error(404, f"model '{name}' not found")
        if body.get("think") and not self.thinks:
            return _error(400, f'"{name}" does not support thinking')
        return None

    def _is(self, *since: int) -> bool:
        return tuple(int(part) for part in self.version.split(".")) >= since

    def _from_cache(self, messages: Messages) -> int:
        """The tokens that a version counts too few: the words with which the prompt before this one began too."""
        words = [word for message in messages for word in message["content"].split()]
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(words, self.cached, strict=False)))
        self.cached = words
        return shared if self._is(0, 30, 0) and not self._is(0, 30, 9) else 0

    def _cut(self, messages: Messages, num_ctx: int) -> tuple[Messages, int]:
        """What Ollama makes of a prompt that is too long, and how many tokens that has: no older turns, then no
        beginning of the last one after its first four tokens. It fills the context, or half of it from 0.30 on."""
        system = [message for message in messages if message["role"] == "system"]
        turns = [message for message in messages if message["role"] != "system"]
        while len(turns) > 1 and self.mind.count([*system, *turns]) > num_ctx:
            turns.pop(0)
        if self.mind.count([*system, *turns]) <= num_ctx:
            return [*system, *turns], self.mind.count([*system, *turns])
        limit = num_ctx - (num_ctx - 4) // 2 if self._is(0, 30, 0) else num_ctx
        words = turns[-1]["content"].split()
        while len(words) > 8 and self.mind.count([*system, *turns]) > limit:
            over = self.mind.count([*system, *turns]) - limit
            words = words[:4] + words[4 + max(1, over // 2) :]
            turns[-1] = {**turns[-1], "content": " ".join(words)}
        return [*system, *turns], limit

    def _said(self, body: Any, spoken: Spoken, prompt_tokens: int, top: int = 0) -> Answer:
        start = {"model": body["model"], "created_at": "2026-01-02T03:04:05.678901Z"}
        message = {"role": "assistant", "content": spoken.text}
        logprobs = _words(spoken.text, top) if spoken.logprobs is None else spoken.logprobs
        if spoken.thinking and (body.get("think") or self.stubborn):
            message["thinking"] = spoken.thinking
            logprobs = _words(spoken.thinking, top) + logprobs
        end = {"done": True, "done_reason": spoken.done_reason, "total_duration": 2_000_000, "load_duration": 1_000_000}
        if prompt_tokens:
            end |= {"prompt_eval_count": prompt_tokens, "prompt_eval_duration": 500_000}
            end |= {"eval_count": spoken.tokens, "eval_duration": 500_000}
        given = {"logprobs": logprobs} if top and logprobs else {}
        if body.get("stream", True) is False:
            return Answer({**start, "message": message, **end, **given})
        lines = [
            {**start, "message": message, "done": False, **given},
            {**start, "message": {"role": "assistant", "content": ""}, **end},
        ]
        ndjson = "".join(json.dumps(line) + "\n" for line in lines)
        return Answer(ndjson, headers={"content-type": "application/x-ndjson"})


def _error(status: int, message: str) -> Answer:
    return Answer({"error": message}, status=status)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", action="append", help="a name to serve under; llama3:latest by default")
    parser.add_argument("--reply", help="always say this, instead of asking the real model")
    parser.add_argument("--version", default="0.33.0")
    parser.add_argument("--thinks", action="store_true")
    parser.add_argument("--context-length", type=int, default=8192)
    arguments = parser.parse_args()
    if arguments.reply is None:
        from real_model import llama_url

        chosen: Mind = Llama(llama_url())
    else:
        chosen = Script(arguments.reply)
    settings = {name: getattr(arguments, name) for name in ("port", "version", "thinks", "context_length")}
    OllamaEmulation(chosen, models=arguments.model or ("llama3:latest",), **settings).serve_forever()
