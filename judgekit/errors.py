"""The errors that judgekit raises on purpose, each with the exit code that it gives a command.

JudgekitError                     70  internal: a bug of ours
├── PreflightError                 -  every problem found before the first call; the worst one's exit code
├── UsageError                     2  the command, the config or an input file is wrong
│   ├── ConfigError                   judgekit.yaml: unknown key, wrong type, duplicate key
│   ├── DataError                     a data file: empty, not JSON, a missing field, a duplicate id
│   ├── PromptError                   a prompt template: missing, or naming an unknown variable
│   ├── CheckpointError               a checkpoint: missing, truncated, of another shape, a pickle
│   └── PluginError                   a plugin: broken, clashing, unknown, blocked
├── BackendError                   4  a backend cannot serve any call: stop sending
│   ├── AuthError                     no key, or a refused one
│   ├── ModelNotFound                 the server has no such model
│   ├── Unreachable                   nothing answers at the address
│   └── QuotaError                    the account is out of credit
├── CallError                      3  this one call failed; others may succeed
│   └── NotSent                       it was not even sent: the budget is spent, or the server asked for a long pause
├── IncompleteError                3  planned calls were left unanswered
│   ├── NotInLedger                   offline, and the ledger holds no reply
│   └── NotScored                     a number was asked of a verdict without one
├── NothingSelected                5  no sample is left to evaluate
├── StorageError                   6  disk full; ledger, or a run's file, damaged; 141: nobody reads the output
└── Interrupted                  130  Ctrl-C
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class JudgekitError(Exception):
    """Base of all errors; `place` says where ("file:line"), the message says what is wrong and how to correct it."""

    exit_code = 70

    def __init__(self, message: str, *, path: str | Path | None = None, line: int | None = None) -> None:
        self.message = message
        self.place = "" if path is None else f"{path}:{line}" if line is not None else str(path)
        super().__init__(f"{self.place}: {message}" if self.place else message)


class PreflightError(JudgekitError):
    """Every problem at once. `problems` are (where, message) pairs, one line each; `unchecked` says what was not
    checked, because of them or for another reason."""

    def __init__(self, problems: list[tuple[str, str]], exit_code: int, unchecked: Sequence[str] = ()) -> None:
        self.problems = problems
        self.unchecked = tuple(unchecked)
        self.exit_code = exit_code
        super().__init__("\n".join(f"{where}: {message}" if where else message for where, message in problems))

    def __reduce__(self) -> tuple[type[PreflightError], tuple[object, ...]]:
        return type(self), (self.problems, self.exit_code, self.unchecked)


class UsageError(JudgekitError):
    exit_code = 2


class ConfigError(UsageError):
    pass


class DataError(UsageError):
    pass


class PromptError(UsageError):
    pass


class CheckpointError(UsageError):
    pass


class PluginError(UsageError):
    pass


class BackendError(JudgekitError):
    """No call to this backend can succeed; the circuit opens and nothing more is sent."""

    exit_code = 4


class AuthError(BackendError):
    pass


class ModelNotFound(BackendError):
    pass


class Unreachable(BackendError):
    pass


class QuotaError(BackendError):
    pass


class CallError(JudgekitError):
    """One call failed after its retries; it becomes a row with status `error`, never an answer."""

    exit_code = 3


class NotSent(CallError):
    """The call was not sent: the budget is spent, or the server asked for a longer pause than is waited for."""


class IncompleteError(JudgekitError):
    exit_code = 3


class NotScored(IncompleteError):
    """A number was asked of a verdict that has none."""


class NotInLedger(IncompleteError):
    """A run that may ask nobody needs a reply that the ledger does not hold."""


class NothingSelected(JudgekitError):
    exit_code = 5


class StorageError(JudgekitError):
    exit_code = 6


class Interrupted(JudgekitError):
    exit_code = 130
