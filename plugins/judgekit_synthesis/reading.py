"""Reading of a model's text: tasks, instances, yes or no. Pure; an unreadable text gives None or nothing, no guess."""

from __future__ import annotations

import re
from typing import NamedTuple

import judgekit

_NUMBERED = re.compile(r"^[ \t]*(?:task|과제)?[ \t]*\d+[ \t]*[.):][ \t]*(.*)$", re.IGNORECASE | re.MULTILINE)
_MARK = re.compile(r"^[ \t]*(task|input|output|과제|입력|출력)[ \t]*:[ \t]*", re.IGNORECASE | re.MULTILINE)
_MARKS = {"과제": "task", "입력": "input", "출력": "output"}
_NOTHING = re.compile(r"[(<\[\"']*(?:no ?input|none|n/?a|not needed|no|없음|nothing)[)>\]\"'.]*", re.IGNORECASE)
_YES_NO = re.compile(r"[^\w]*(yes|no|예|네|아니오|아니요)\b", re.IGNORECASE)
_YES = frozenset({"yes", "예", "네"})


class Instance(NamedTuple):
    """One example of a task."""

    input: str
    output: str


def added(request: judgekit.Request, reply: judgekit.Reply) -> str:
    """The text that a reply adds to the turn that it continues: some servers send that turn back in front of it."""
    last = request.messages[-1]
    return reply.text.removeprefix(last.content) if last.role == "assistant" else reply.text


def opened(request: judgekit.Request, reply: judgekit.Reply) -> str:
    """The reply; with the last line of an open turn in front, which it completes."""
    last = request.messages[-1]
    line = last.content.rpartition("\n")[2] if last.role == "assistant" else ""
    return f"{line} {added(request, reply).lstrip()}" if line else reply.text


def numbered(text: str, *, cut: bool = False) -> list[str]:
    """The numbered lines of a list, without their numbers; of a list that was `cut` off, not the last one."""
    entries = [" ".join(match[1].split()) for match in _NUMBERED.finditer(text)]
    return entries[:-1] if cut else entries


def yes_or_no(text: str) -> bool | None:
    """The yes or no that a reply begins with; None where it begins with neither."""
    match = _YES_NO.match(text)
    return match[1].lower() in _YES if match else None


def instances(text: str, *, labelled: bool = False) -> list[Instance]:
    """The examples of the first task: each an `Input:` with its `Output:`, in this order or (`labelled`) the other.

    An input such as "none" is empty. Another `Task:` ends the first one's examples.
    """
    first, second = ("output", "input") if labelled else ("input", "output")
    read: list[Instance] = []
    parts: dict[str, str] = {}
    marks = list(_MARK.finditer(text))
    for place, mark in enumerate(marks):
        name = _MARKS.get(mark[1], mark[1].lower())
        if name == "task":
            if place:
                break
            continue
        end = marks[place + 1].start() if place + 1 < len(marks) else len(text)
        if name == first:
            parts = {}
        parts[name] = text[mark.end() : end].strip()
        if name == second and "output" in parts:  # without the first one: a task that needs no input
            given = parts.get("input", "")
            read.append(Instance("" if _NOTHING.fullmatch(given) else given, parts["output"]))
            parts = {}
    return read
