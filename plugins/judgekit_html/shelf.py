"""Responses and rows by the number of their sample: in memory, or in a temporary database where they are many."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby

import judgekit

Stored = judgekit.Response | judgekit.Row
BATCH = 2000  # nouns a write


class Shelf:
    """Put in any order; taken out by number, each number's in the order in which they were put."""

    def __init__(self, on_disk: bool) -> None:
        self._memory: dict[int, list[Stored]] = defaultdict(list)
        # An empty name is SQLite's own temporary file: private, and gone with the connection.
        self._disk = sqlite3.connect("") if on_disk else None
        self._waiting: list[tuple[int, bool, str]] = []
        if self._disk is not None:
            self._disk.execute("PRAGMA cache_size = -16000")  # KB
            self._disk.execute("CREATE TABLE nouns (number INTEGER, is_row INTEGER, noun TEXT)")

    def put(self, number: int, noun: Stored) -> None:
        if self._disk is None:
            self._memory[number].append(noun)
            return
        # ASCII keeps lone surrogates, which SQLite would refuse.
        text = json.dumps(noun.model_dump(), ensure_ascii=True, allow_nan=False)
        self._waiting.append((number, isinstance(noun, judgekit.Row), text))
        if len(self._waiting) == BATCH:
            self._write()

    def _write(self) -> None:
        assert self._disk is not None
        self._disk.executemany("INSERT INTO nouns VALUES (?, ?, ?)", self._waiting)
        self._waiting.clear()

    def between(self, first: int, last: int) -> dict[int, list[Stored]]:
        """The nouns of the numbers from `first` to `last`."""
        if self._disk is None:
            return {number: self._memory[number] for number in range(first, last + 1) if number in self._memory}
        if self._waiting:
            self._write()
        self._disk.execute("CREATE INDEX IF NOT EXISTS by_number ON nouns (number)")
        return {
            number: [noun for _, noun in entries]
            for number, entries in groupby(self._read(first, last), lambda f: f[0])
        }

    def _read(self, first: int, last: int) -> Iterator[tuple[int, Stored]]:
        assert self._disk is not None
        query = "SELECT number, is_row, noun FROM nouns WHERE number BETWEEN ? AND ? ORDER BY number, rowid"
        for number, is_row, text in self._disk.execute(query, (first, last)):
            tree = json.loads(text)
            yield number, judgekit.Row.model_validate(tree) if is_row else judgekit.Response.model_validate(tree)
