"""What all contract tests share: a plugin's author inherits them, and each says what to do where it fails.

A contract is a class of tests that pytest collects from a subclass whose name begins with `Test`; `check` runs them
without pytest.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple
from unittest import SkipTest

from pydantic import JsonValue, ValidationError

from judgekit.errors import JudgekitError
from judgekit.secrets import one_line

HEAVY = (  # modules that take long to load, and that `judgekit --help` must not wait for
    *("torch", "tensorflow", "jax", "transformers", "datasets", "vllm", "llama_cpp", "onnxruntime"),
    *("scipy", "pandas", "sklearn", "matplotlib", "nltk", "spacy", "openai", "anthropic", "litellm", "ray"),
)
_LOADING = """
import contextlib, importlib, io, json, sys
import judgekit
before, said = set(sys.modules), io.StringIO()
with contextlib.redirect_stdout(said):
    importlib.import_module({module!r})
print(json.dumps([[name for name in {heavy!r} if name in sys.modules and name not in before], said.getvalue()]))
"""


class Contract:
    """Tests of one thing that a plugin offers: `make` is its class or function, `options` what it is built with, and
    `files` are put beside it, by name. Override `build` where it takes more to make one."""

    make: ClassVar[Any] = None
    options: ClassVar[Mapping[str, Any]] = {}
    files: ClassVar[Mapping[str, str]] = {}
    module: ClassVar[str] = ""  # where it is defined, if that is not the module of `make`

    def build(self, where: Path, **changes: Any) -> Any:
        """One of it, in a folder with the `files`; `changes` are other options."""
        for name, text in self.files.items():
            path = where / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        made = _made(self)
        return made(made.Options.model_validate({**self.options, **changes}), where)

    def test_it_loads_fast_and_says_nothing(self) -> None:
        module = self.module or getattr(_made(self), "__module__", "")
        code = _LOADING.format(module=module, heavy=HEAVY)
        paths = os.pathsep.join(path for path in sys.path if path)
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": paths},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        must(not done.returncode, f"{module} cannot be imported by itself: {done.stderr.strip().splitlines()[-1:]}")
        heavy, said = json.loads(done.stdout)
        must(not heavy, f"{module} loads {', '.join(heavy)} when it is imported: import them where they are used")
        must(not said, f"{module} prints {said[:60]!r} when it is imported: standard output is the command's")


class Configured(Contract):
    """A contract of what is built from its part of the config."""

    def test_unknown_options_are_refused(self) -> None:
        options = _made(self).Options
        try:
            options.model_validate({**self.options, "no_such_option": 1})
        except ValidationError as error:
            unknown = [one for one in error.errors() if one["type"] == "extra_forbidden"]
            if not unknown:
                raise
            return
        must(False, "a misspelt option is taken without a word: derive the Options from judgekit.Options")


class Rule(NamedTuple):
    """What came of one test of a contract; `said` says what to do where it failed, or why it was left out."""

    contract: str
    name: str
    result: Literal["passed", "failed", "not checked"]
    said: str


def check(contract: type[Contract]) -> Iterator[Rule]:
    """The contract's tests, without pytest."""
    for name, test in inspect.getmembers(contract, inspect.isfunction):
        if not name.startswith("test_"):
            continue
        with tempfile.TemporaryDirectory() as folder:
            given = {"tmp_path": Path(folder)} if "tmp_path" in inspect.signature(test).parameters else {}
            result, said = _result(getattr(contract(), name), given)
        yield Rule(contract.__name__, name.removeprefix("test_").replace("_", " "), result, said)


def _result(
    test: Callable[..., None], given: Mapping[str, Any]
) -> tuple[Literal["passed", "failed", "not checked"], str]:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            test(**given)
    except SkipTest as skipped:
        return "not checked", str(skipped)
    except AssertionError as failed:
        return "failed", str(failed)
    except ValidationError as error:
        missing = [".".join(map(str, one["loc"])) for one in error.errors() if one["type"] == "missing"]
        if missing:
            return "not checked", f"give `options`: {', '.join(missing)}"
        return "failed", f"{type(error).__name__}: {one_line(str(error), 300)}"
    except Exception as error:
        return "failed", f"{type(error).__name__}: {one_line(str(error), 300)}"
    return "passed", ""


def must(holds: bool, otherwise: str) -> None:
    """Raises AssertionError with the advice."""
    if not holds:
        raise AssertionError(otherwise)


def left_out(why: str) -> None:
    """Leave the test out."""
    raise SkipTest(why)


@contextlib.contextmanager
def silent(what: str) -> Iterator[None]:
    """In the block, nothing may be printed on standard output."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        yield
    must(
        not said.getvalue(),
        f"{what} prints {said.getvalue()[:60]!r}: standard output is the command's, which may be JSON",
    )


@contextlib.contextmanager
def typed(what: str) -> Iterator[list[JudgekitError]]:
    """In the block, one of judgekit's errors is raised, and nothing else; it is put into the list."""
    caught: list[JudgekitError] = []
    try:
        yield caught
    except JudgekitError as error:
        caught.append(error)
    except Exception as error:
        must(
            False, f"{what} raises {type(error).__name__}: {one_line(str(error), 120)}; raise one of judgekit's errors"
        )
    must(bool(caught), f"{what} raises nothing")


def variants(value: Any) -> list[JsonValue]:
    """Other values that an option may have instead."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1, value - 1, value / 2, value * 2]
    if isinstance(value, str):
        return [f"{value}x", "x", ""]
    if isinstance(value, list | tuple):
        return [[*value, "x"], []]
    if isinstance(value, Mapping):
        return [{**value, "x": "x"}, {}]
    return [True, 1, "x", {"x": "x"}, ["x"]] if value is None else []


def _made(contract: Contract) -> Any:
    made = type(contract).make
    must(made is not None, f"{type(contract).__name__} needs `make = …`, the class that is tested")
    return made
