"""YAML 1.2 as plain values, with the line of every key: what a config needs of it, in bounded time and memory.

Aliases are followed up to a number of values, and `<<` merges as in YAML 1.1, which is what people write. Tags, cyclic
aliases, keys that are no words and numbers beyond 64 bits are refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from judgekit.errors import ConfigError
from judgekit.secrets import shortened

Place = tuple[str, ...]
Lines = dict[Place, int]
MOST_VALUES = 100_000  # aliases written out
_TAG = "tag:yaml.org,2002:"
_SCALARS = frozenset(_TAG + name for name in ("null", "bool", "int", "float", "str"))
_MERGE = _TAG + "merge"


def parse_yaml(text: str, path: Path) -> tuple[Any, Lines]:
    """The values of a YAML text, and the line of every key. Raises ConfigError with the line."""
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(text)
        reader = _Reader(path, yaml.constructor)
        return (None if node is None else reader.value(node, ())), reader.lines
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ConfigError(f"not YAML: {error.problem or error.context}", path=path, line=line) from None
    except RecursionError:
        raise ConfigError("not YAML: nested too deeply", path=path) from None
    except YAMLError as error:
        raise ConfigError(f"not YAML: {str(error).splitlines()[0]}", path=path) from None


class _Reader:
    """Turns nodes into values, and notes the lines of keys."""

    def __init__(self, path: Path, constructor: Any) -> None:
        self.lines: Lines = {}
        self._path, self._constructor = path, constructor
        self._count = 0
        self._open: set[int] = set()  # nodes that are being read, by which a cycle is found

    def value(self, node: Node, at: Place) -> Any:
        self._counted(node)
        if isinstance(node, ScalarNode) and node.tag in _SCALARS:
            return self._scalar(node)
        if isinstance(node, MappingNode) and node.tag == f"{_TAG}map":
            with self._within(node):
                values = {}
                for name, (key, value) in self._entries(node).items():
                    self.lines[(*at, name)] = key.start_mark.line + 1
                    values[name] = self.value(value, (*at, name))
                return values
        if isinstance(node, SequenceNode) and node.tag == f"{_TAG}seq":
            with self._within(node):
                return [self.value(item, (*at, str(index))) for index, item in enumerate(node.value)]
        what = str(node.tag).removeprefix(_TAG)
        raise self._error(node, f"{'.'.join(at) or 'here'}: a {what} has no place here")

    def _entries(self, node: MappingNode) -> dict[str, tuple[Node, Node]]:
        """The keys and values of a mapping by name: its own, and those that it merges and has not itself."""
        own: dict[str, tuple[Node, Node]] = {}
        merged: dict[str, tuple[Node, Node]] = {}
        merges = 0
        for key, value in node.value:
            if key.tag == _MERGE:
                merges += 1
                for parent in value.value if isinstance(value, SequenceNode) else [value]:
                    for name, pair in self._of_parent(parent).items():
                        self._counted(key)
                        merged.setdefault(name, pair)
                continue
            if not (isinstance(key, ScalarNode) and key.tag in _SCALARS):
                raise self._error(key, "a key is a word or a number")
            name = str(self._scalar(key))
            if name in own:
                raise self._error(key, f'duplicate key "{name}"')
            own[name] = key, value
        if merges > 1:
            raise self._error(node, 'duplicate key "<<": write <<: [*one, *other]')
        return merged | own

    def _of_parent(self, parent: Node) -> dict[str, tuple[Node, Node]]:
        if not isinstance(parent, MappingNode):
            raise self._error(parent, "<< merges mappings: write <<: *name, or <<: [*one, *other]")
        with self._within(parent):
            return self._entries(parent)

    @contextmanager
    def _within(self, node: Node) -> Iterator[None]:
        if id(node) in self._open:
            raise self._error(node, "an alias leads into itself")
        self._open.add(id(node))
        yield
        self._open.discard(id(node))

    def _scalar(self, node: ScalarNode) -> Any:
        if node.tag == f"{_TAG}int" and len(node.value) > 80:
            raise self._error(node, "a number beyond 64 bits has no place here")
        try:
            value = self._constructor.construct_object(node)
        except ValueError:
            raise self._error(node, f"{shortened(node.value, 40)!r} is no {str(node.tag).removeprefix(_TAG)}") from None
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            raise self._error(node, "a number beyond 64 bits has no place here")
        if isinstance(value, float) and math.isinf(value) and "inf" not in node.value.lower():
            raise self._error(node, f"{shortened(node.value, 40)} is too large for a number")
        return value

    def _counted(self, node: Node) -> None:
        self._count += 1
        if self._count > MOST_VALUES:
            raise self._error(node, f"more than {MOST_VALUES:,} values, aliases written out; is this a config?")

    def _error(self, node: Node, message: str) -> ConfigError:
        return ConfigError(message, path=self._path, line=node.start_mark.line + 1)
