"""Jinja's sandbox for templates that others wrote: bounded in steps and in size, and without what draws at random.

Turns of loops and calls are counted, and no value grows beyond a limit, so that a template which loops, recurses or
multiplies is refused within seconds.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MOST_STEPS = 300_000  # turns of loops, and calls, of one rendering
LARGEST = 1 << 23  # characters of a text, or items of a list
_IN_ALL = 1 << 28  # characters of all texts that one rendering makes
_ITEM = 64  # an item of a list counts as so many
_WIDEST = 10_000  # to which text is padded or indented
_PADDING = {"center", "indent", "wordwrap", "batch", "slice", "tojson", "ljust", "rjust", "zfill", "expandtabs"}
_WIDE = re.compile(r"\d{5}|%[^a-zA-Z%]*\*|\{[^{}]*:[^{}]*\{")  # a width beyond that, in a text to format by
REFUSALS = (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError)  # of what is rendered

_used: ContextVar[list[int]] = ContextVar("judgekit_template_used")  # steps, and sizes of what was made


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment; what it makes is rendered within `bounded`."""

    intercepted_binops = frozenset({"*", "**", "%", "+"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        del self.globals["lipsum"]
        del self.filters["random"]
        self.filters |= {name: bounded_filter(name, inner) for name, inner in self.filters.items()}
        self.filters["judgekit_turns"] = _turns

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        """The tree as Jinja reads it, with every loop's values counted, and a `~` as the filter join."""
        tree = super()._parse(source, name, filename)
        for loop in list(tree.find_all(nodes.For)):
            loop.iter = nodes.Filter(loop.iter, "judgekit_turns", [], [], None, None, lineno=loop.lineno)
        for joined in list(tree.find_all(nodes.Concat)):
            parts = nodes.List(joined.nodes, lineno=joined.lineno)
            joined.nodes = [nodes.Filter(parts, "join", [], [], None, None, lineno=joined.lineno)]
        return tree

    def call(self, context: Any, obj: Any, /, *given: Any, **named: Any) -> Any:
        _step()
        method = getattr(obj, "__wrapped__", obj)  # Jinja wraps str.format
        owner, name = getattr(method, "__self__", None), getattr(obj, "__name__", "")
        if isinstance(owner, str):
            if name == "join" and given:
                given = (list(given[0]), *given[1:])
            _check(name, (owner, *given), named)
        return _small(super().call(context, obj, *given, **named))

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        _step()
        if operator == "**" and max(abs(left), abs(right)) > _WIDEST:
            raise SecurityError(f"a power of a number beyond {_WIDEST:,}")
        if operator == "%" and isinstance(left, str):
            _check("format", (left,), {})
        for times, one in ((left, right), (right, left)) if operator == "*" else ():
            if isinstance(times, int) and isinstance(one, str | list | tuple):
                _check_size(times * len(one))
        return _small(super().call_binop(context, operator, left, right))

    @staticmethod
    def concat(pieces: Iterable[str]) -> str:
        """The pieces of a rendering, a block or a macro as one text."""
        kept, size = [], 0
        for piece in pieces:
            size += len(piece)
            if size > LARGEST:
                _check_size(size)
            kept.append(piece)
        return "".join(kept)


@contextmanager
def bounded() -> Iterator[None]:
    """Render within: a template that goes beyond its bounds ends with a SecurityError."""
    token = _used.set([0, 0])
    try:
        yield
    except RecursionError:
        raise SecurityError("it calls itself without end, or is nested too deeply") from None
    except MemoryError:
        raise SecurityError("it takes more memory than there is") from None
    finally:
        _used.reset(token)


def bounded_filter(name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
    """A filter of Jinja that makes no more than it may."""
    skipped = 1 if hasattr(inner, "jinja_pass_arg") else 0  # the context, or the environment

    @functools.wraps(inner)
    def call(*given: Any, **named: Any) -> Any:
        _step()
        _check(name, given[skipped:], named)
        return _small(inner(*given, **named))

    return call


def _step() -> None:
    used = _used.get([0, 0])
    used[0] += 1
    if used[0] > MOST_STEPS:
        raise SecurityError(f"more than {MOST_STEPS:,} turns of its loops and calls")


@jinja2.pass_context  # so that nothing is unrolled when the template is read
def _turns(context: Any, values: Iterable[Any]) -> Iterable[Any]:
    """The values of a loop, counted."""
    _step()
    return _Counted(values) if isinstance(values, Mapping | str | list | tuple | range) else _counted(values)


class _Counted:
    """Values of a known number: `loop.length` and `loop.last` need it."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return _counted(self._values)


def _counted(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        _step()
        yield value


def _check(name: str, given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
    """Raises SecurityError where a filter, or a text's method, of that name would make more of its first argument than
    it may."""
    value, *others = given or (None,)
    if name in _PADDING and any(isinstance(one, int) and abs(one) > _WIDEST for one in (*others, *named.values())):
        raise SecurityError(f"text is padded by {_WIDEST:,} at most")
    if name in ("format", "format_map") and _WIDE.search(str(value)):
        raise SecurityError(f"text is padded by {_WIDEST:,} at most")
    if name in ("translate", "urlize"):
        raise SecurityError(f"{name} is not for these templates")
    if name == "replace" and isinstance(value, str) and len(others) > 1:
        _check_size(len(value) + value.count(str(others[0])) * len(str(others[1])))
    if name == "join":
        other = others[0] if others else ""
        parts, between = (other, value) if isinstance(value, str) else (value, other)
        if isinstance(parts, list | tuple):
            _check_size(sum(len(one) for one in parts if isinstance(one, str)) + len(parts) * len(str(between)))


def _check_size(size: int) -> None:
    if size > LARGEST:
        raise SecurityError(f"a text or list of more than {LARGEST:,}")


def _small(value: Any) -> Any:
    if isinstance(value, str | list | tuple):
        _check_size(len(value))
        used = _used.get([0, 0])
        used[1] += len(value) * (1 if isinstance(value, str) else _ITEM)
        if used[1] > _IN_ALL:
            raise SecurityError(f"texts and lists of more than {_IN_ALL:,} in all")
    elif isinstance(value, int) and value.bit_length() > 256:
        raise SecurityError("a number beyond 256 bits")
    return value
