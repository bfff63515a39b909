"""A judge on an emulated Ollama server: what the tests of the backend have in common."""

from __future__ import annotations

from judgekit import Message, Request, Sampling
from judgekit_ollama.backend import OllamaBackend, OllamaOptions
from ollama_emulation import OllamaEmulation, Script

RETRY_NOW = {"retry-after-ms": "10"}


def request(text="Grade this answer.", top_logprobs=0, **sampling):
    sampling = Sampling(**{"temperature": 0.0, "seed": 123, "max_new_tokens": 8} | sampling)
    return Request(messages=(Message(role="user", content=text),), sampling=sampling, top_logprobs=top_logprobs)


def backend(server, **options):
    return OllamaBackend(OllamaOptions(**{"model": "llama3", "host": server.url, "retries": 0} | options))


def emulation(reply="85", **settings):
    return OllamaEmulation(Script(reply), **settings)


def done(reason):
    """The body of an empty reply that ended for this reason."""
    return {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": reason}


def said_after(tokens):
    """The body of the reply 85 to a prompt of which so many tokens were read."""
    message = {"role": "assistant", "content": "85"}
    return {"message": message, "done": True, "done_reason": "stop", "prompt_eval_count": tokens, "eval_count": 1}
