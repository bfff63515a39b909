"""The Batch API of the OpenAI fake: /v1/files and /v1/batches, in the shapes of the real API.

A batch is worked on when it is looked at: after `looks` looks it is in progress no longer, unless `held`. Its lines are
answered in reverse order, each by `chat`; those with a status of 400 or more go to the error file. `fate` of a line
("expired", "cancelled", or "lost" without a trace) keeps it from being answered; `ends_as` is what the whole becomes.
"""

from __future__ import annotations

import email.parser
import email.policy
import json
import threading
import urllib.parse
from collections.abc import Callable
from typing import Any

from json_server import Answer, Call

MAX_LINES = 50_000


class Batches:
    def __init__(self, chat: Callable[[dict[str, Any]], Answer], looks: int = 1) -> None:
        self.chat = chat
        self.looks = looks
        self.held = False
        self.fate: Callable[[dict[str, Any]], str] = lambda line: ""
        self.ends_as = "completed"
        self.refusal: tuple[str, str] | None = None  # (code, message) for which every batch fails
        self.files: dict[str, bytes] = {}
        self.created: list[dict[str, Any]] = []  # batch objects, the oldest first
        self.page = 100
        self.lists = True
        self._seen: dict[str, int] = {}
        self._lock = threading.RLock()

    @property
    def lines(self) -> list[list[dict[str, Any]]]:
        """The lines of each batch that was created."""
        return [_lines(self.files[batch["input_file_id"]]) for batch in self.created]

    def respond(self, call: Call) -> Answer | None:
        """None for what is no business of files and batches."""
        parts = urllib.parse.urlsplit(call.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        with self._lock:
            match (call.method, *parts.path.removeprefix("/v1/").split("/")):
                case ("POST", "files"):
                    return self._upload(call)
                case ("GET", "files", file, "content"):
                    return Answer(self.files[file]) if file in self.files else _missing(f"No such File object: {file}")
                case ("POST", "batches"):
                    return self._create(call.body)
                case ("GET", "batches") if self.lists:
                    return self._list(int(query.get("limit", 20)), query.get("after"))
                case ("GET", "batches", batch):
                    return self._look(batch)
        return None

    def _upload(self, call: Call) -> Answer:
        form = _form(call.headers["content-type"], call.body)
        name, content = form["file"]
        if form["purpose"][1] != b"batch" or not name.endswith(".jsonl"):
            return _invalid("Invalid file format for Batch API. Must be .jsonl")
        file = f"file-{len(self.files):04}"
        self.files[file] = content
        head = {"id": file, "object": "file", "bytes": len(content), "created_at": 1_700_000_000, "filename": name}
        rest = {"purpose": "batch", "status": "processed", "status_details": None, "expires_at": None}
        return Answer(head | rest)

    def _create(self, body: dict[str, Any]) -> Answer:
        if body.get("input_file_id") not in self.files:
            return _invalid("Missing or unknown 'input_file_id'", "input_file_id")
        if body.get("completion_window") != "24h" or body.get("endpoint") != "/v1/chat/completions":
            return _invalid("Invalid 'completion_window' or 'endpoint'")
        assert all(len(key) <= 64 and len(value) <= 512 for key, value in body["metadata"].items())
        batch: dict[str, Any] = {
            "id": f"batch_{len(self.created):04}",
            "object": "batch",
            "endpoint": body["endpoint"],
            "errors": None,
            "input_file_id": body["input_file_id"],
            "completion_window": "24h",
            "status": "validating",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": 1_700_000_000 + len(self.created),
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "metadata": body["metadata"],
        }
        self.created.append(batch)
        return Answer(dict(batch))

    def _list(self, limit: int, after: str | None) -> Answer:
        newest = self.created[::-1]
        start = next((place + 1 for place, batch in enumerate(newest) if batch["id"] == after), 0)
        shown = newest[start : start + min(limit, self.page)]
        ids = {"first_id": shown[0]["id"], "last_id": shown[-1]["id"]} if shown else {"first_id": None, "last_id": None}
        more = start + len(shown) < len(newest)
        return Answer({"object": "list", "data": [dict(batch) for batch in shown], **ids, "has_more": more})

    def _look(self, batch_id: str) -> Answer:
        batch = next((batch for batch in self.created if batch["id"] == batch_id), None)
        if batch is None:
            return _missing(f"No batch found with id '{batch_id}'.")
        self._seen[batch_id] = self._seen.get(batch_id, 0) + 1
        if batch["status"] in ("validating", "in_progress"):
            self._work_on(batch)
        return Answer(dict(batch))

    def _work_on(self, batch: dict[str, Any]) -> None:
        fault = self._fault(self.files[batch["input_file_id"]])
        if fault is not None:
            batch |= {"status": "failed", "errors": {"object": "list", "data": [fault]}}
        elif self.held or self._seen[batch["id"]] < self.looks:
            batch["status"] = "in_progress"
        else:
            self._finish(batch)

    def _fault(self, content: bytes) -> dict[str, Any] | None:
        if self.refusal is not None:
            code, message = self.refusal
            return {"code": code, "message": message, "param": None, "line": None}
        ids = [line["custom_id"] for line in _lines(content)]
        if len(ids) > MAX_LINES or len(set(ids)) < len(ids) or not ids:
            message = "The custom_id's of a batch must be unique, and its lines at most 50000"
            return {"code": "invalid_request", "message": message, "param": "custom_id", "line": 1}
        return None

    def _finish(self, batch: dict[str, Any]) -> None:
        good, bad = [], []
        lines = _lines(self.files[batch["input_file_id"]])
        for line in reversed(lines):
            head = {"id": f"batch_req_{len(good) + len(bad)}", "custom_id": line["custom_id"]}
            fate = self.fate(line)
            if fate == "lost":
                continue
            if fate:
                error = {"code": f"batch_{fate}", "message": "This request was not executed."}
                bad.append({**head, "response": None, "error": error})
                continue
            answer = self.chat(line["body"])
            response = {"status_code": answer.status, "request_id": "req_fake", "body": answer.body}
            (good if answer.status < 400 else bad).append({**head, "response": response, "error": None})
        for key, results in (("output_file_id", good), ("error_file_id", bad)):
            if results:
                batch[key] = f"file-{len(self.files):04}"
                self.files[batch[key]] = b"".join(json.dumps(result).encode() + b"\n" for result in results)
        counts = {"total": len(lines), "completed": len(good), "failed": len(bad)}
        batch |= {"status": self.ends_as, "request_counts": counts}


def _lines(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


def _form(content_type: str, body: bytes) -> dict[str, tuple[str, bytes]]:
    """(file name, content) of each field of a multipart form."""
    head = f"content-type: {content_type}\r\nmime-version: 1.0\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    parts = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        assert isinstance(name, str)
        assert isinstance(content, bytes)
        parts[name] = (part.get_filename() or "", content)
    return parts


def _invalid(message: str, param: str | None = None) -> Answer:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": None}
    return Answer({"error": error}, 400)


def _missing(message: str) -> Answer:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return Answer({"error": error}, 404)
