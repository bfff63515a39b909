"""State that the tests of one pytest session share: each config's run, and its judges. Under xdist, among all
workers."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import judgekit

try:
    import fcntl
except ImportError:  # Windows: two workers may make one run twice
    fcntl = None  # type: ignore[assignment]

from judgekit_pytest import RuleOutcome

KEEP = "and keep that ledger: CI restores it before pytest."


@dataclass
class Session:
    """`shared`: the folder where xdist's workers exchange results; None for a single process."""

    root: Path
    home: Path
    output: Path
    offline: bool
    config_name: str
    shared: Path | None
    _runs: dict[str, Path | RuleOutcome] = field(default_factory=dict)
    _scorers: dict[Path, judgekit.Scorer] = field(default_factory=dict)

    @classmethod
    def of(cls, config: pytest.Config) -> Session:
        root = config.rootpath

        def folder(option: str, default: str) -> Path:
            if given := config.getoption(f"--judgekit-{option}"):
                return config.invocation_params.dir / str(given)
            variable, ini = os.environ.get(f"JUDGEKIT_{option.upper()}"), config.getini(f"judgekit_{option}")
            return root / str(variable or ini or default)

        shared = getattr(config, "workerinput", {}).get("judgekit_shared")
        return cls(
            root=root,
            home=folder("home", ".judgekit"),
            output=folder("output", "runs"),
            offline=bool(config.getoption("--judgekit-offline")) or _is_set("JUDGEKIT_OFFLINE"),
            config_name=str(config.getini("judgekit_config")),
            shared=Path(shared) if shared else None,
        )

    def find(self, name: str, item: pytest.Item) -> Path:
        """The path of a file that a test names: from the rootdir, or from the test's own folder."""
        places = [self.root / name, item.path.parent / name]
        folder = next((place for place in places if place.exists()), None)
        if folder is None:
            tried = " and ".join(dict.fromkeys(str(place) for place in places))
            raise RuleOutcome(f"judgekit: no such file: {tried}", "error", 2)
        return folder

    # --- runs ---

    def run(self, config: Path, overrides: tuple[str, ...] = ()) -> judgekit.RunView:
        """The config's run, made once. Raises an error RuleOutcome where it could not be made, or is incomplete."""
        key = hashlib.sha256(json.dumps([str(config.resolve()), overrides]).encode()).hexdigest()
        if key not in self._runs:
            with self.locked(key):
                self._runs[key] = self._left_by_another(key) or self._made(config, overrides)
                self._leave(key, self._runs[key])
        made = self._runs[key]
        if isinstance(made, RuleOutcome):
            raise RuleOutcome(str(made.msg), made.kind, made.code)
        view = judgekit.read_run(made)
        if view.record.status == "incomplete":
            reasons = "\n".join(f"  {count} × {reason}" for reason, count in list(view.record.errors.items())[:10])
            head = f"{view.record.run_id} is incomplete: planned calls were not answered."
            raise RuleOutcome(f"{head}\n{reasons}\nAsk again: {self.command(config, overrides)}", "error", 3)
        return view

    def _made(self, config: Path, overrides: tuple[str, ...]) -> Path | RuleOutcome:
        try:
            return judgekit.run_config(
                config, overrides, home=self.home, output=self.output, offline=self.offline
            ).resolve()
        except judgekit.NotInLedger as error:
            return RuleOutcome(f"{error}\n  {self.command(config, overrides)}\n{KEEP}", "error", error.exit_code)
        except judgekit.Interrupted:
            raise
        except judgekit.JudgekitError as error:
            return RuleOutcome(str(error), "error", error.exit_code)

    def command(self, config: Path, overrides: tuple[str, ...] = ()) -> str:
        """The command that makes the same run, from the rootdir."""
        parts = ["judgekit", "run", self.shown(config)]
        parts += [part for override in overrides for part in ("--set", override)]
        parts += ["--home", self.shown(self.home), "-o", self.shown(self.output)]
        return shlex.join(parts)

    def shown(self, path: Path) -> str:
        return os.path.relpath(path, self.root) if path.is_relative_to(self.root) else str(path)

    # --- single answers ---

    def score(self, config: Path, nodeid: str, text: str, asked: Mapping[str, Any]) -> judgekit.Score:
        """A judge's verdict on one answer. Workers that ask the same wait for each other, so that it is asked once."""
        try:
            if config not in self._scorers:
                self._scorers[config] = judgekit.Scorer(config, home=self.home, offline=self.offline)
            key = hashlib.sha256(ascii([str(config), text, sorted(asked.items())]).encode()).hexdigest()
            with self.locked(key):
                return self._scorers[config].score(text, **asked)
        except judgekit.NotInLedger as error:
            command = f"{shlex.join(['pytest', nodeid])}    (without --judgekit-offline)"
            raise RuleOutcome(f"{error}\n  {command}\n{KEEP}", "error", error.exit_code) from None

    def close(self) -> None:
        for scorer in self._scorers.values():
            scorer.close()

    # --- among workers ---

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """A lock among workers; the kernel frees the lock of one that dies."""
        if self.shared is None:
            yield
            return
        self.shared.mkdir(parents=True, exist_ok=True)
        with (self.shared / f"{key}.lock").open("wb") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _left_by_another(self, key: str) -> Path | RuleOutcome | None:
        path = self.shared / f"{key}.json" if self.shared is not None else None
        if path is None or not path.is_file():
            return None
        tree = json.loads(path.read_text("utf-8"))
        return Path(tree["folder"]) if "folder" in tree else RuleOutcome(tree["text"], "error", tree["code"])

    def _leave(self, key: str, made: Path | RuleOutcome) -> None:
        if self.shared is not None:
            tree = {"folder": str(made)} if isinstance(made, Path) else {"text": made.msg, "code": made.code}
            path = self.shared / f"{key}.json"
            path.with_suffix(".new").write_text(json.dumps(tree), "utf-8")
            path.with_suffix(".new").replace(path)


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() in ("1", "true", "yes", "on")
