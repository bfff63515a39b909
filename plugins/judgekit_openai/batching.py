"""Many requests by the Batch API: submitted once, waited for, read by name; found again after a kill.

Each call's `custom_id` is its name from the run's errand, the key of the call in the ledger: whatever batch holds a
line of that name holds the reply to exactly this call. What a model refuses shows as a failed line (such lines are
not charged): the parameter is left out, and those lines alone go into another batch.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from judgekit import (
    AuthError,
    BackendError,
    CallError,
    Errand,
    HttpStatusError,
    QuotaError,
    Reply,
    Request,
    StorageError,
    Unreachable,
)
from judgekit_openai.batch_api import MOST_BYTES, MOST_LINES, BatchApi, Result, ServerBatch
from judgekit_openai.chat import ChatClient, Wording
from judgekit_openai.submissions import Submission, Submissions

FOLDER = "batches"  # in the errand's folder
_FIRST_LOOK, _GROWTH = 1.0, 1.5  # seconds before the first look at a batch, and how they grow
_LONGEST = 26 * 3600.0  # seconds that a batch is waited for: the server's window is 24 h
_PATIENCE = 10  # looks in a row that may fail
_NO_CREDIT = ("billing_hard_limit_reached", "insufficient_quota")


class _Part:
    """A file of lines for one batch, as it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: list[str] = []
        self.size = 0
        self.sha256 = hashlib.sha256()
        self._file = path.open("wb")

    def has_room(self, line: bytes) -> bool:
        return len(self.names) < MOST_LINES and self.size + len(line) <= MOST_BYTES

    def add(self, name: str, line: bytes) -> None:
        self._file.write(line)
        self.sha256.update(line)
        self.names.append(name)
        self.size += len(line)

    def close(self) -> None:
        self._file.close()


class Batching:
    """Answers the requests of one errand. `poll`: the longest pause between two looks, in seconds."""

    def __init__(
        self, client: ChatClient, api: BatchApi, requests: Sequence[Request], errand: Errand, poll: float
    ) -> None:
        self.client = client
        self.api = api
        self.errand = errand
        self.poll = poll
        self.open = dict(zip(errand.names, requests, strict=True))
        self.replies: dict[str, Reply] = {}
        self.failures: list[BackendError] = []
        self.settled: set[str] = set()  # ids of batches
        self.passed = 0  # batches of an earlier process that had ended already
        self.folder = errand.folder / FOLDER if errand.folder is not None else None
        with _on_disk():
            self.notes = Submissions(self.folder)

    def run(self) -> list[Reply]:
        """One reply a request. Raises BackendError where none was answered and none can be. Nothing that was submitted
        is lost by any error, an interrupt or a kill: the same calls find it again."""
        with _on_disk():
            earlier = list(self.notes.open_ones(self.open))
        for sent in earlier:
            batch = self._look_up(sent)
            if batch is None:  # killed before it was submitted
                self.notes.forget(sent)
            elif batch.id not in self.settled:
                self._settle(sent, batch, final=not batch.ended)
        while self.open:
            before = len(self.open), self.client.wording, self.passed
            for sent, batch, new in self._submit():
                self._settle(sent, batch, final=new or not batch.ended)
            if (len(self.open), self.client.wording, self.passed) == before:
                self._give_up()
        if self.failures and all(reply.status == "error" for reply in self.replies.values()):
            raise self.failures[0]
        return [self.replies[name] for name in self.errand.names]

    # --- submitting ---

    def _look_up(self, sent: Submission) -> ServerBatch | None:
        """The batch of a note, if the server knows it."""
        if sent.batch:
            return self.api.get(sent.batch)
        return next(iter(self.api.find({sent.digest, sent.file} - {""}).values()), None)

    def _submit(self) -> list[tuple[Submission, ServerBatch, bool]]:
        """Put every open call into a batch: one that the server has already, else a new one (True)."""
        wording = self.client.wording
        submitted = []
        with _on_disk(), tempfile.TemporaryDirectory(dir=self.folder) as folder:
            parts = self._written(wording, Path(folder))
            earlier = self.api.find({part.sha256.hexdigest() for part in parts}, but=self.settled)
            for part in parts:
                sent = Submission(part.sha256.hexdigest(), tuple(part.names), wording)
                batch = earlier.get(sent.digest)
                new = batch is None
                if batch is None:
                    self.notes.save(sent)
                    sent = replace(sent, file=self.api.upload(part.path))
                    self.notes.save(sent)
                    batch = self.api.create(sent.file, sent.digest, len(sent.names))
                sent = replace(sent, batch=batch.id)
                self.notes.save(sent)
                part.path.unlink()
                submitted.append((sent, batch, new))
        return submitted

    def _written(self, wording: Wording, folder: Path) -> list[_Part]:
        """The open calls as files of lines, none over the API's bounds."""
        parts: list[_Part] = []
        try:
            for name, request in self.open.items():
                body, _ = self.client.body(request, wording)
                call = {"custom_id": name, "method": "POST", "url": self.api.endpoint, "body": body}
                line = json.dumps(call, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
                if not parts or not parts[-1].has_room(line):
                    parts.append(_Part(folder / f"judgekit-{len(parts)}.jsonl"))
                parts[-1].add(name, line)
        finally:
            for part in parts:
                part.close()
        return parts

    # --- waiting and reading ---

    def _settle(self, sent: Submission, batch: ServerBatch, *, final: bool) -> None:
        """Wait for the batch's end and take what it brought. What failed in it is asked again, unless it is `final`:
        a batch that was seen through by this process."""
        batch = self._waited_for(batch, len(sent.names))
        self.settled.add(batch.id)
        self.passed += not final
        if batch.status == "failed":  # the server took none of its lines
            self.notes.forget(sent)
            if final:
                self.failures.append(_failure(batch))
            return
        seen: set[str] = set()
        try:
            with _on_disk(), tempfile.TemporaryDirectory(dir=self.folder) as folder:
                for result in self.api.results(batch, Path(folder)):
                    if result.name in self.open and result.name not in seen:
                        seen.add(result.name)
                        self._take(result, sent.wording, final)
        except HttpStatusError as error:
            if final or error.status != 404:
                raise
            self.notes.forget(sent)  # its results are gone from the server
        for name in sent.names:
            if final and name in self.open and name not in seen:
                detail = f"the batch {batch.id} ended as {batch.status}, without a result for this call"
                self._close(name, Reply(status="error", detail=detail))

    def _waited_for(self, batch: ServerBatch, lines: int) -> ServerBatch:
        """The batch when it has ended. Raises CallError when it does not end, Interrupted when the run is stopped."""
        pause, strikes, end = min(_FIRST_LOOK, self.poll), 0, time.monotonic() + _LONGEST
        while not batch.ended:
            self.errand.report(f"batch {batch.id}", batch.done, batch.total or lines, batch.status)
            if time.monotonic() > end:
                raise CallError(f"the batch {batch.id} is still {batch.status} after {_LONGEST / 3600:g} hours")
            self.api.http.pause(pause)
            pause = min(pause * _GROWTH, self.poll)
            try:
                batch = self.api.get(batch.id) or _unknown(batch)
                strikes = 0
            except (CallError, Unreachable) as error:
                strikes += 1
                if strikes > _PATIENCE:
                    goes_on = f"the batch {batch.id} goes on without us, and the same command waits for it again"
                    raise Unreachable(f"{error.message}; {goes_on}") from error
        self.errand.report(f"batch {batch.id}", batch.done, batch.total or lines, batch.status)
        return batch

    def _take(self, result: Result, wording: Wording, final: bool) -> None:
        """One line: the call's reply, or a reason to leave the call open."""
        request = self.open[result.name]
        body, notes = self.client.body(request, wording)
        try:
            if result.status is None:
                raise CallError(result.error)
            status, told = self.client.meaning(result.status, result.body)
            if 200 <= status < 300:
                reply = self.client.read(result.body, request, notes)
            else:
                line = f"a line of the batch to {self.api.endpoint}"
                error = HttpStatusError(status, told, line, sent=result.status)
                if self.client.gives_way(error, body, wording):
                    return  # worded otherwise, in the next batch
                reply = self.client.without_answer(error, request, notes)
        except (CallError, BackendError) as error:
            if not final:
                return
            if result.status in (401, 403):  # raised only if no line of any batch was answered
                self.failures.append(AuthError(f"the key was refused: {error.message}"))
            if isinstance(error, BackendError):
                self.failures.append(error)
            reply = Reply(status="error", detail=error.message, notes=notes)
        self._close(result.name, reply)

    def _give_up(self) -> None:
        """The requests that stay open after all attempts: their batch was refused as a whole."""
        why = self.failures[-1].message if self.failures else "the server's batches bring no result for this call"
        for name in list(self.open):
            self._close(name, Reply(status="error", detail=why))

    def _close(self, name: str, reply: Reply) -> None:
        self.replies[name] = reply
        del self.open[name]


def _unknown(batch: ServerBatch) -> ServerBatch:
    raise CallError(f"the server knows of no batch {batch.id}")


def _failure(batch: ServerBatch) -> BackendError:
    words = batch.errors or "the server does not say why"
    if batch.code in _NO_CREDIT:
        return QuotaError(f"the batch {batch.id} was refused: {words}")
    smaller = "; a smaller batch_size may fit the limit" if batch.code == "token_limit_exceeded" else ""
    return BackendError(f"the batch {batch.id} was refused: {words}{smaller}")


@contextlib.contextmanager
def _on_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"a batch's files cannot be kept: {error.strerror or error}", path=error.filename) from error
