"""The Batch API as it is on the wire: files, batches, and the lines of their results. No decisions here.

The wire has no key against a batch being created twice, so a creation whose answer was lost is looked for before it is
tried again: `digest`, the sha256 of the input file, is in the batch's metadata.
"""

from __future__ import annotations

import json
import secrets
import urllib.parse
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from pydantic import JsonValue

from judgekit import BackendError, CallError, Http, HttpStatusError, shortened

MOST_LINES, MOST_BYTES = 50_000, 200_000_000  # of one input file
_MADE_BY = "judgekit"  # the metadata key whose value is the digest
_PAGES = 200  # of a hundred batches each, at most, that are looked through
_TRIES, _FIRST_PAUSE = 5, 0.5  # of a creation: how often, and the seconds after the first time
_NOT_OFFERED = (404, 405, 501)  # statuses of a server without a Batch API
_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})


@dataclass(frozen=True)
class ServerBatch:
    """A batch as the server describes it. `errors`: the reasons why it failed as a whole, with `code`."""

    id: str
    status: str
    input_file: str = ""
    output_file: str = ""
    error_file: str = ""
    digest: str = ""
    done: int = 0
    total: int = 0
    errors: str = ""
    code: str = ""

    @property
    def ended(self) -> bool:
        return self.status in _ENDED


@dataclass(frozen=True)
class Result:
    """One line of a result file. Without a `status` no answer was made, and `error` says why."""

    name: str
    status: int | None
    body: Any
    error: str = ""


class BatchApi:
    """`http` is for small requests, with retries; `once` does not retry; `files` has the time and room for whole
    files."""

    def __init__(self, http: Http, once: Http, files: Http, endpoint: str) -> None:
        self.http = http
        self.once = once
        self.files = files
        self.endpoint = endpoint
        self.lists = True  # until the server is found not to list its batches

    def upload(self, path: Path) -> str:
        """The id of the file on the server. Raises BackendError where there is no Batch API."""
        boundary = f"judgekit-{secrets.token_hex(16)}"
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\n'
            "Content-Type: application/jsonl\r\n\r\n"
        )
        parts: list[bytes | Path] = [head.encode("ascii"), path, f"\r\n--{boundary}--\r\n".encode("ascii")]
        with self._no_batches():
            answer = self.files.upload("files", parts, f"multipart/form-data; boundary={boundary}").body
        return _identifier(answer, "a file")

    def create(self, file: str, digest: str, lines: int) -> ServerBatch:
        """Submit an uploaded file, once."""
        body: dict[str, JsonValue] = {
            "input_file_id": file,
            "endpoint": self.endpoint,
            "completion_window": "24h",
            "metadata": {_MADE_BY: digest, "requests": str(lines)},
        }
        for attempt in range(_TRIES):
            try:
                with self._no_batches():
                    return _batch(self.once.post("batches", body).body)
            except CallError as error:
                status = error.status if isinstance(error, HttpStatusError) else 0
                if attempt == _TRIES - 1 or (status and status not in (408, 409, 429) and status < 500):
                    raise BackendError(f"the batch was not accepted: {error.message}") from error
                self.http.pause(_FIRST_PAUSE * 2.0**attempt)
                if earlier := self.find({file}).get(file):
                    return earlier
                if not self.lists and status != 429:
                    lost = "whether it was submitted cannot be told, as the server does not list its batches"
                    raise BackendError(f"the answer to a batch's creation was lost: {lost}") from error
        raise AssertionError("the last attempt is final")

    def get(self, batch_id: str) -> ServerBatch | None:
        """The batch as it is now; None where the server knows none of that id."""
        try:
            return _batch(self.http.get(f"batches/{_quoted(batch_id)}").body)
        except HttpStatusError as error:
            if error.status == 404:
                return None
            raise

    def find(self, digests: set[str], but: Container[str] = ()) -> dict[str, ServerBatch]:
        """The newest batch of each digest (or input file id), except those whose id is in `but`."""
        by_digest: dict[str, ServerBatch] = {}
        after = ""
        for _ in range(_PAGES):
            try:
                page = self.http.get(f"batches?limit=100{after}").body
            except HttpStatusError as error:
                if error.status in (404, 405):
                    self.lists = False
                    return {}
                raise
            items = page.get("data") if isinstance(page, dict) else None
            shown = [item for item in items or [] if isinstance(item, dict) and item.get("id") and item.get("status")]
            batches = [_batch(item) for item in shown]
            for batch in batches:
                for name in {batch.digest, batch.input_file} & digests - by_digest.keys():
                    if batch.id not in but and batch.status != "failed":
                        by_digest[name] = batch
            if not batches or not page.get("has_more") or by_digest.keys() == digests:
                break
            after = f"&after={_quoted(batches[-1].id)}"
        return by_digest

    def results(self, batch: ServerBatch, folder: Path) -> Iterator[Result]:
        """Every line of the batch's output and error file, in the files' order.

        Raises CallError where a file is cut, is not JSON, or is gone (HttpStatusError, 404).
        """
        for file in filter(None, (batch.output_file, batch.error_file)):
            with TemporaryFile(dir=folder) as content:
                self.files.download(f"files/{_quoted(file)}/content", content)
                content.seek(0)
                for line in content:
                    if line.strip():
                        yield _result(line, batch.id)

    def offered(self) -> bool:
        """True if the server has a Batch API, as far as can be seen without making a batch."""
        # The second is for a server that has batches and does not list them.
        for listed in (True, False):
            try:
                self.once.get("batches?limit=1") if listed else self.once.post("batches", {})
            except CallError as error:
                if isinstance(error, HttpStatusError) and error.status in _NOT_OFFERED:
                    continue
            return True
        return False

    def close(self) -> None:
        self.http.close()
        self.once.close()
        self.files.close()

    @contextmanager
    def _no_batches(self) -> Iterator[None]:
        """A context in which 404 means that the server has no Batch API."""
        try:
            yield
        except HttpStatusError as error:
            if error.status in _NOT_OFFERED:
                raise BackendError(f"{self.http.base_url} offers no Batch API: leave out `mode: batch`") from error
            raise


def _batch(body: Any) -> ServerBatch:
    if not isinstance(body, dict):
        raise CallError(f"the server sent {type(body).__name__} where a batch was due")
    if not isinstance(body.get("status"), str):
        raise CallError("the server sent a batch without a status")
    metadata, counts, errors = ((body.get(key) or {}) for key in ("metadata", "request_counts", "errors"))
    listed = errors.get("data") if isinstance(errors, dict) else None
    faults = [fault for fault in listed or [] if isinstance(fault, dict)]
    counts = counts if isinstance(counts, dict) else {}
    done = [counts.get(key) for key in ("completed", "failed")]
    return ServerBatch(
        id=_identifier(body, "a batch"),
        status=body["status"].lower().replace("canceled", "cancelled"),
        input_file=str(body.get("input_file_id") or ""),
        output_file=str(body.get("output_file_id") or ""),
        error_file=str(body.get("error_file_id") or ""),
        digest=str(metadata.get(_MADE_BY) or "") if isinstance(metadata, dict) else "",
        done=sum(count for count in done if isinstance(count, int)),
        total=counts["total"] if isinstance(counts.get("total"), int) else 0,
        errors="; ".join(_fault(fault) for fault in faults[:3]),
        code=str(faults[0].get("code") or "") if faults else "",
    )


def _fault(fault: dict[str, Any]) -> str:
    line = f"line {fault['line']}: " if fault.get("line") is not None else ""
    return f"{line}{fault.get('message') or fault.get('code') or 'no explanation'}"


def _result(line: bytes, batch_id: str) -> Result:
    try:
        item = json.loads(line.decode("utf-8", "surrogatepass"), parse_constant=_refuse)
        name, response, error = str(item["custom_id"]), item.get("response"), item.get("error")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as damage:
        start = shortened(line.decode("utf-8", "replace"), 60)
        raise CallError(f"a result file of batch {batch_id} is cut or damaged: {start!r}") from damage
    if isinstance(response, dict) and isinstance(response.get("status_code"), int):
        return Result(name, response["status_code"], response.get("body"))
    words = [str(error.get(key)) for key in ("code", "message") if error.get(key)] if isinstance(error, dict) else []
    return Result(name, None, None, ": ".join(words) or str(error or "no response"))


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _identifier(body: Any, what: str) -> str:
    name = body.get("id") if isinstance(body, dict) else None
    if not isinstance(name, str) or not name:
        raise CallError(f"the server sent no id of {what}")
    return name


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")
