"""Standard output and error as a command has them: every sign can be written, and what is not read is noticed.

A sign that the console's encoding lacks is replaced by another one. Output that cannot be written ends a command with
an exit code of its own, since 0, 1 and 3 are a gate's verdicts; that of standard error is left out.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from pathlib import Path
from typing import Any

from judgekit.errors import StorageError

SIGNS = {
    "−": "-", "–": "-", "—": "-", "‑": "-", "…": "...", "·": "-", "•": "*", "×": "x", "÷": "/", "≤": "<=", "≥": ">=",
    "≠": "!=", "≈": "~", "±": "+/-", "→": "->", "←": "<-", "↑": "^", "↓": "v", "‘": "'", "’": "'", "“": '"', "”": '"',
    "✓": "+", "✗": "x", "│": "|", "┃": "|", "─": "-", "━": "-", "╸": "-", "╺": "-", "═": "=", "§": "S", "°": "deg",
    "α": "alpha", "κ": "kappa", "ρ": "rho", "τ": "tau", "Δ": "delta", "σ": "sigma", "μ": "u", "µ": "u", "²": "2",
    "█": "#", "▁": "_", "\u00a0": " ", "\u2009": " ", "\u202f": " ",
}  # fmt: skip
_ERRORS = "judgekit-signs"
_ASCII = "judgekit_ascii"  # of another name: click would write UTF-8 to a console that says that it is ASCII


class Unread(StorageError):
    """The reader of standard output went away (`| head`): the code that a shell gives a process which SIGPIPE ended."""

    exit_code = 141


class Output(io.TextIOWrapper):
    """A standard stream. Once it fails, what is written goes nowhere; `failed` says why. Where it `matters`, the write
    that fails raises."""

    failed: StorageError | None = None
    matters = True

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._fail(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())  # what is still in the buffer goes there, at the end of the process too
        os.close(nowhere)
        if self.failed is None and self.matters:
            gone = isinstance(error, BrokenPipeError)
            said = f"standard output cannot be written: {error.strerror}"
            self.failed = Unread("standard output is not read") if gone else StorageError(said)
            raise self.failed


def open_streams() -> None:
    """Put them in place of this process's own, where there are any."""
    codecs.register_error(_ERRORS, _another_sign)
    codecs.register(_ascii)
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if closed := stream is None:
            stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
        if type(stream) is io.TextIOWrapper:  # another's, where we are not the process
            stream.flush()
            encoding = _ASCII if codecs.lookup(stream.encoding).name == "ascii" else stream.encoding
            given: dict[str, Any] = {"encoding": encoding, "errors": _ERRORS, "line_buffering": stream.line_buffering}
            output = Output(stream.buffer, **given, write_through=stream.write_through)
            output.matters = name == "stdout"
            if closed and output.matters:
                output.failed = StorageError("standard output is closed: send it to a file, or to /dev/null")
            setattr(sys, name, output)
            _kept.append(stream)  # it would close the buffer that they share


_kept: list[Any] = []


def _ascii(name: str) -> codecs.CodecInfo | None:
    if name != _ASCII:
        return None
    known = codecs.lookup("ascii")
    return codecs.CodecInfo(
        known.encode, known.decode, known.streamreader, known.streamwriter,
        known.incrementalencoder, known.incrementaldecoder, name=_ASCII,
    )  # fmt: skip


def unwritten() -> StorageError | None:
    """Why standard output could not be written in whole, up to now; None where it was."""
    if not isinstance(sys.stdout, Output):
        return None
    try:
        sys.stdout.flush()
    except StorageError as error:
        return error
    return sys.stdout.failed


def _another_sign(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(SIGNS.get(sign, "?") if not "\ud800" <= sign <= "\udfff" else "?" for sign in signs), error.end
