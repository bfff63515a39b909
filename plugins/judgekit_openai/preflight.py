"""What the address and the list of models say before the first call: nothing here makes a model write."""

from __future__ import annotations

import difflib
import re
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from judgekit import AuthError, CallError, Http, HttpStatusError, JudgekitError
from judgekit_openai import refusals

_PASTED = ("/chat/completions", "/completions", "/models", "/responses", "/embeddings")
_USUAL = ("/v1", "/api/v1", "/openai/v1", "/v1beta/openai")
_QUICK: dict[str, Any] = {"deadline": 10.0, "retries": 0, "connect_timeout": 5.0}
_NOWHERE = re.compile(r"(?:unexpected|unknown|invalid|no such) (?:endpoint|url|path|route)", re.IGNORECASE)
_MOST = 5  # names that are shown

Open = Callable[..., Http]
"""Makes a client of an address, with the key that belongs there."""


def wrong_address(open_at: Open, base_url: str) -> str:
    """Why the address is none of chat completions, and which is; "" where it is one or that cannot be told.

    Asked where no models are listed there. A body without a model is one that no server answers with more than an
    error, but an address that is wrong has 404, 405, or a page.
    """
    found = _answer(open_at, base_url, "chat/completions", {})
    if found == "" or found is None:
        return ""
    right = next((url for url in _others(base_url) if _lists_models(open_at, url)), "")
    mend = f"set base_url: {right}" if right else "is base_url right? It usually ends in /v1"
    return f"{base_url} offers no chat completions ({found}): {mend}"


def _answer(open_at: Open, base_url: str, path: str, body: Any) -> str | None:
    """What is wrong with what answers there; "" for nothing; None where it cannot be told."""
    try:
        with open_at(base_url, **_QUICK) as http:
            said = http.post(path, body).body
    except HttpStatusError as error:
        wrong = error.status in (404, 405) and not refusals.of_model(error)
        return f"{error.status}: {error.error_message}" if wrong else ""
    except CallError as error:
        return "a page, and not JSON" if "not JSON" in error.message else None
    except JudgekitError:
        return None
    fault = said.get("error") if isinstance(said, dict) else None  # LM Studio says it under status 200
    words = fault.get("message") if isinstance(fault, dict) else fault
    return words if isinstance(words, str) and _NOWHERE.search(words) else ""


def _others(base_url: str) -> Iterator[str]:
    """Addresses that may have been meant."""
    base = base_url.rstrip("/")
    pasted = next((ending for ending in _PASTED if base.endswith(ending)), "")
    stem = base.removesuffix(pasted)
    parts = urllib.parse.urlsplit(stem)
    root = f"{parts.scheme}://{parts.netloc}"
    parent = stem.rpartition("/")[0] if parts.path else ""
    tried = [stem, *(f"{one}{end}" for one in dict.fromkeys([stem, parent, root]) if one for end in _USUAL), parent]
    for one in dict.fromkeys(tried):
        if one and one != base and urllib.parse.urlsplit(one).netloc == parts.netloc:
            yield one


def _lists_models(open_at: Open, base_url: str) -> bool:
    try:
        with open_at(base_url, **_QUICK) as http:
            return models_in(http.get("models").body) is not None
    except AuthError:
        return False
    except JudgekitError:
        return False


def models_in(body: Any) -> list[Mapping[str, Any]] | None:
    """The models of a list; None where it is none."""
    items = body.get("data") if isinstance(body, dict) else body  # some send the list alone
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else None


def names_of(listed: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names under which the models may be asked for: their own, and the aliases that are told."""
    names = []
    for item in listed:
        told = item.get("aliases")
        own = [item.get("id"), item.get("name"), item.get("model"), *(told if isinstance(told, list) else [])]
        names += [name for name in own if isinstance(name, str) and name]
    return list(dict.fromkeys(names))


def is_listed(model: str, names: Sequence[str]) -> bool:
    """True if the list has the model, or a name that servers take for it: Gemini's models/x, Ollama's x:latest,
    OpenRouter's x:free, Anthropic's x-latest, LiteLLM's vendor/*."""

    def bare(name: str) -> str:
        return name.lower().removeprefix("models/").removesuffix(":latest")

    wanted, known = bare(model), {bare(name) for name in names}
    if wanted in known or ("/" in wanted and wanted.partition(":")[0] in known):
        return True
    if wanted.endswith("-latest") and any(name.startswith(wanted.removesuffix("latest")) for name in known):
        return True
    return any(name.endswith("*") and wanted.startswith(name[:-1]) for name in known)


def not_listed(model: str, names: Sequence[str]) -> str:
    """What to do about a model that is not in the list."""
    near = difflib.get_close_matches(model.lower(), [name.lower() for name in names], 1, 0.5)
    meant = next((name for name in names if near and name.lower() == near[0]), "")
    hint = f"did you mean {meant!r}? " if meant else ""
    return f"{hint}The server has {some(names, model)}; for a name that its list leaves out, add `unlisted: true`"


def some(names: Sequence[str], wanted: str) -> str:
    """The nearest names first, five at most."""
    near = difflib.get_close_matches(wanted, names, _MOST)
    shown = [*near, *(name for name in names if name not in near)]
    more = f" and {len(shown) - _MOST} more" if len(shown) > _MOST else ""
    return ", ".join(shown[:_MOST]) + more
