"""Shared parts of all ways to make data: asking stage by stage, counting the reasons for leaving items out, the files.

Work goes in batches of a fixed size, each through all of its stages. Prompts of a batch depend on what was kept before
it and on the seed alone, never on how many calls are under way, so that the same seed and the same replies give the
same file. A call that fails ends the work before its batch: the file then holds the first items of what it would have
held, and the same command goes on from there with what the ledger has.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue

import judgekit

KIND = "judgekit synthesis"
Form = Literal["chat", "ko", "open"]  # of prompts: for a chat model, in Korean, or an open turn to be gone on with
_SUFFIXES: Mapping[Form, str] = {"chat": "", "ko": ".ko", "open": "_open"}
Fields = dict[str, JsonValue]


def prompt_name(name: str, form: Form) -> str:
    return f"synthesis/{name}{_SUFFIXES[form]}"


class CallFailed(Exception):
    """A call of the batch brought no reply."""


@dataclass
class SynthesisTally:
    """The `kept` items so far, and how many of those `written` were left out, by reason.

    `asked` counts calls by stage, also those that the ledger had.
    """

    kept: list[Fields] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    written: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    def reject(self, reason: str, count: int = 1) -> None:
        if count:
            self.rejected[reason] += count


@dataclass
class Maker:
    """One model at work for a tally."""

    client: judgekit.Client
    writer: judgekit.ModelClient
    seed: int
    skip_failed: bool = False
    tally: SynthesisTally = field(default_factory=SynthesisTally)

    def ask(
        self, stage: str, requests: Iterable[judgekit.Request], model: judgekit.ModelClient | None = None
    ) -> list[judgekit.Reply]:
        """One reply a request. Every one is a drawing of its own: the stage's first, second, … call.

        A call that failed raises CallFailed, or (`skip_failed`) gives its reply with the status `error`.
        """
        asked = list(requests)
        first = self.tally.asked[stage]
        replies = list((model or self.writer).ask(asked, range(first, first + len(asked))))
        self.look_for_failure(reply.detail for reply in replies if reply.status == "error")
        self.tally.asked[stage] += len(asked)
        return replies

    def look_for_failure(self, details: Iterable[str]) -> None:
        """Raises CallFailed if there is one that is not to be skipped. `details` say why calls brought no reply."""
        failed = next(iter(details), None)
        if failed is not None and (self.client.stopped or not self.skip_failed):
            raise CallFailed(self.client.stopped or failed)


@dataclass(frozen=True)
class Product:
    """The file to make, and its report beside it. `work` is all that decides the items, except their number."""

    path: Path
    work: Mapping[str, JsonValue]

    @property
    def report(self) -> Path:
        return self.path.with_name(f"{self.path.stem}.report.json")

    def claim(self) -> None:
        """Raises UsageError where the file is there and is not an earlier product of the same work."""
        if self.path.suffix not in (".json", ".jsonl"):
            raise judgekit.UsageError("the file to write ends in .json or .jsonl", path=self.path)
        if not self.path.exists():
            return
        was = (self._earlier() or {}).get("work")
        if not isinstance(was, dict):
            raise judgekit.UsageError(
                "is there already, and was not made by this command: name another", path=self.path
            )
        other = sorted(key for key in {**self.work, **was} if self.work.get(key) != was.get(key))
        if other:
            said = ", ".join(other)
            raise judgekit.UsageError(f"was made by other work (another {said}): name another file", path=self.path)

    def write(self, tally: SynthesisTally, prompts: Mapping[str, str], complete: bool, stopped: str) -> bool:
        """Both files; False where an earlier, longer product stays, since this one was stopped before it got as far."""
        earlier = self._earlier()
        if not complete and earlier is not None and self.path.exists() and earlier["kept"] > len(tally.kept):
            return False
        judgekit.write_atomically(self.path, items_to_bytes(tally.kept, self.path))
        tree = {
            "kind": KIND,
            "work": self.work,
            "kept": len(tally.kept),
            "complete": complete,
            "stopped": stopped,
            "calls": dict(tally.asked),
            "written": tally.written,
            "rejected": dict(sorted(tally.rejected.items(), key=lambda item: (-item[1], item[0]))),
            "prompts": prompts,
        }
        judgekit.write_atomically(self.report, json.dumps(tree, indent=1, ensure_ascii=False).encode() + b"\n")
        return True

    def _earlier(self) -> dict[str, Any] | None:
        """The report beside the file; None where it is missing or not ours."""
        try:
            tree = json.loads(self.report.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        known = isinstance(tree, dict) and tree.get("kind") == KIND and isinstance(tree.get("kept"), int)
        return tree if known else None


def items_to_bytes(items: Sequence[Fields], path: Path) -> bytes:
    """A JSON array, an item a line; or, where the path ends in .jsonl, JSON lines."""
    lines = [json.dumps(item, ensure_ascii=False) for item in items]
    if path.suffix == ".jsonl":
        text = "".join(f"{line}\n" for line in lines)
    else:
        text = "[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n"
    return text.encode("utf-8", "backslashreplace")  # a lone surrogate, which models do write, as JSON escapes it


def digest(value: Any) -> str:
    """A short hash that tells inputs of the work apart."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
