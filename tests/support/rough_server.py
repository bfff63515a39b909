"""A chat server in a process of its own that lets in only so many calls, or fails in many ways; it keeps account.

Its right answer to a question about "mouse N" is `truth(N)`. Limits: a token bucket of `rate` a second that holds
`burst`, or (with `window`) rate × window calls in each window; with `slots`, so many calls at once. Turned away is a
call with 429 and a Retry-After of `after`: "exact" (the time until one would be let in, in ms), "whole" (the same in
whole seconds), or "none".
Faults: with the chance `faults`, by question and attempt, one of FAULTS happens instead of an answer.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import math
import re
import socket
import struct
import time
import urllib.request
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from judgekit.testing import KeepAlive, ServerProcess, serve

IN_FLIGHT = 0.05  # seconds: a call may have been on its way when the server said to wait
HANG = 3.0

# Below HTTP, each attempt anew: the network ate it, or a proxy mixes up a connection that it keeps: the answer comes
# "twice", at once or a few milliseconds later, or the "earlier" one (to another question) once more before it.
BELOW = (
    *("reset", "closed", "cut head", "cut body", "not HTTP", "hang", "drip"),
    *("cut chunks", "too short", "twice", "twice, late", "earlier"),
)
# By status, each attempt anew.
STATUS = ("408", "429", "500", "503", "502 page", "504 page", "529", "empty 500")
# Under status 200, the same for every attempt: the question has no answer that could be read as a score.
CONTENT = (
    *("cut JSON", "page", "no choices", "error", "strange end"),
    *("refusal", "filtered", "truncated", "babble", "list"),
    *(
        "empty",
        "null",
        "NaN",
        "key twice",
        "compressed",
        "out of range",
        "two numbers",
        "only thoughts",
        "failed choice",
    ),
)
FAULTS = (*BELOW, *STATUS, *CONTENT)


def truth(number: int) -> int:
    return number * 37 % 101


def fault_of(number: int, attempt: int, share: float) -> str | None:
    """Which fault the server shows. The kinds under status 200 are drawn by question alone."""

    def drawn(*what: object) -> float:
        return int.from_bytes(hashlib.sha256(repr(what).encode()).digest()[:6], "big") / 2**48

    kinds = len(CONTENT) / len(FAULTS)
    if drawn(number) < share * kinds:
        return CONTENT[int(drawn(number, "content") * len(CONTENT))]
    passing = (*BELOW, *STATUS)
    if drawn(number, attempt) < share * (1 - kinds):
        return passing[int(drawn(number, attempt, "passing") * len(passing))]
    return None


def completion(content: Any, **changes: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, **changes.pop("message", {})}
    name = changes.pop("id", "c")
    choice = {"index": 0, "message": message, "finish_reason": "stop", **changes}
    usage = {"prompt_tokens": 100, "completion_tokens": 2, "total_tokens": 102}
    return {"id": name, "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}


@dataclass
class Account:
    asked: Counter[int] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    notices: deque[tuple[float, float]] = field(default_factory=deque)  # (said at, nothing before)
    let_in: list[float] = field(default_factory=list)
    turned_away: int = 0
    early: int = 0
    under_way: int = 0
    most_under_way: int = 0


class Gate:
    """Token bucket or fixed window; `wait` is 0 for a call that is let in, else the seconds until one would be."""

    def __init__(self, rate: float, burst: float, window: float, now: float) -> None:
        self.rate, self.burst, self.window = rate, burst, window
        self.tokens, self.at = rate * window or burst, now

    def wait(self, now: float) -> float:
        if self.window:
            if now - self.at >= self.window:
                self.at += (now - self.at) // self.window * self.window
                self.tokens = self.rate * self.window
            if self.tokens < 1:
                return self.at + self.window - now
        else:
            self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
            self.at = now
            if self.tokens < 1:
                return (1 - self.tokens) / self.rate
        self.tokens -= 1
        return 0.0


class Chat(KeepAlive):
    def __init__(self, options: argparse.Namespace, account: Account, gate: Gate | None) -> None:
        super().__init__()
        self.options, self.account, self.gate = options, account, gate
        self.earlier = b""  # the last right answer on this connection

    def respond(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"POST"):
            self.ask(body)
        else:
            self.tell()

    def tell(self) -> None:
        self.send({"data": []} | {key: value for key, value in vars(self.account).items() if key != "notices"})

    def ask(self, body: bytes) -> None:
        account, now = self.account, time.monotonic()
        number = int(re.search(rb"mouse (\d+)", body)[1])  # type: ignore[index]
        account.asked[number] += 1
        account.early += any(said + IN_FLIGHT < now < until - 0.002 for said, until in account.notices)
        while account.notices and account.notices[0][1] < now:
            account.notices.popleft()
        wait = self.gate.wait(now) if self.gate is not None else 0.0
        if self.options.slots and account.under_way >= self.options.slots:
            wait = self.options.delay
        if wait:
            self.turn_away(now, wait)
            return
        account.let_in.append(now)
        account.under_way += 1
        account.most_under_way = max(account.most_under_way, account.under_way)
        later = asyncio.get_running_loop().call_later
        later(self.options.delay, self.answer, number, account.asked[number] - 1)

    def turn_away(self, now: float, wait: float) -> None:
        self.account.turned_away += 1
        headers = {}
        if self.options.after != "none":
            exact = self.options.after == "exact"
            seconds = math.ceil(wait * 1000) / 1000 if exact else max(1, math.ceil(wait))
            headers = {"retry-after-ms": f"{seconds * 1000:.0f}"} if exact else {"retry-after": str(seconds)}
            self.account.notices.append((now, now + seconds))
        self.send({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, 429, **headers)

    def answer(self, number: int, attempt: int) -> None:
        self.account.under_way -= 1
        fault = fault_of(number, attempt, self.options.faults)
        right = response(json.dumps(completion(str(truth(number)), id=f"chatcmpl-{number:012d}-{attempt:012d}")))
        if fault is None:
            if not self.transport.is_closing():
                self.transport.write(right)
            self.earlier = right
            return
        self.account.faults[fault] += 1
        if fault in ("twice", "earlier"):
            self.transport.write((self.earlier if fault == "earlier" else right) + right)
        elif fault == "twice, late":
            self.transport.write(right)
            asyncio.get_running_loop().call_later(number % 11 / 1000, self.transport.write, right)
        elif fault in BELOW:
            self.below(fault)
        elif fault in STATUS:
            page = "<html><h1>502 Bad Gateway, score: 77</h1></html>"
            wait = {"retry-after-ms": "20"} if fault in ("429", "503") else {}
            body = page if "page" in fault else "" if "empty" in fault else {"error": {"message": "busy: 55"}}
            self.send(body, int(fault.removeprefix("empty ")[:3]), **wait)
        elif fault == "compressed":
            self.send(completion("99"), **{"content-encoding": "gzip"})
        else:
            self.send(CONTENTS[fault])

    def below(self, fault: str) -> None:
        whole = response(json.dumps(completion("99")))
        if fault == "reset":
            handle = self.transport.get_extra_info("socket")
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif fault == "cut head":
            self.transport.write(whole[:30])
        elif fault == "cut body":
            self.transport.write(whole[:-20])
        elif fault == "cut chunks":
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
            self.transport.write(head + b"%x\r\n%s\r\n" % (20, whole[-20:]))
        elif fault == "too short":
            self.transport.write(whole.replace(b"content-length: ", b"content-length: 1"))
        elif fault == "not HTTP":
            self.transport.write(b"SSH-2.0-99\r\n\r\n")
        elif fault in ("hang", "drip"):
            self.drip(b"" if fault == "hang" else whole, time.monotonic() + HANG)
            return
        self.transport.close()

    def drip(self, left: bytes, end: float) -> None:
        if self.transport.is_closing() or time.monotonic() > end:
            self.transport.close()
            return
        self.transport.write(left[:1])
        asyncio.get_running_loop().call_later(0.1, self.drip, left[1:], end)

    def send(self, body: Any, status: int = 200, **headers: str) -> None:
        if not self.transport.is_closing():
            text = body if isinstance(body, str) else json.dumps(body)
            self.transport.write(response(text, status, headers))


CONTENTS: dict[str, Any] = {
    "cut JSON": json.dumps(completion("99"))[:-9],
    "page": "<html>Log in. Score: 88</html>",
    "no choices": {**completion("99"), "choices": []},
    "error": {"error": {"message": "overloaded, 66"}},
    "strange end": completion("99", finish_reason="tool_calls"),
    "refusal": completion(None, message={"refusal": "I cannot give 44."}),
    "filtered": completion("9", finish_reason="content_filter"),
    "truncated": completion("10", finish_reason="length"),
    "babble": completion("downgrade: CI; 1O0 or so"),
    "list": completion([{"type": "image", "score": 99}]),
    "empty": "",
    "null": completion(None),
    "NaN": json.dumps(completion("99", message={"logprob": float("nan")})),
    "key twice": json.dumps(completion("99")).replace('"content": "99"', '"content": "97", "content": "99"'),
    "out of range": completion("170"),
    "two numbers": completion("96 or 97"),
    "only thoughts": completion("", message={"reasoning_content": "It is 95."}),
    "failed choice": completion("", error={"code": 502, "message": "94"}, finish_reason="error"),
}


def response(body: str, status: int = 200, headers: dict[str, str] | None = None) -> bytes:
    data = body.encode()
    fields = {"content-type": "application/json", "content-length": str(len(data)), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + data


class RoughServer(ServerProcess):
    """`with RoughServer(rate=50) as server: … server.url … server.account()`."""

    def __init__(self, **options: object) -> None:
        super().__init__(__file__, *(f"--{name}={value}" for name, value in options.items()))

    def account(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/account", timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    numbers = {"rate": 0.0, "burst": 1.0, "window": 0.0, "slots": 0.0, "faults": 0.0, "delay": 0.0}
    for name, default in numbers.items():
        parser.add_argument(f"--{name}", type=float, default=default)
    parser.add_argument("--after", choices=("exact", "whole", "none"), default="exact")
    options = parser.parse_args()
    account = Account()
    gate = Gate(options.rate, options.burst, options.window, time.monotonic()) if options.rate else None
    asyncio.run(serve(lambda: Chat(options, account, gate)))
