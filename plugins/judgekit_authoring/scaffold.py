"""The files of a new plugin, made from the examples beside this module: they are tested as they stand."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import keyword
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

import judgekit

PARTS = ("backend", "metric", "reading", "loader", "trainer", "reporter", "section", "command")
# hook, what it returns, and the class or function of each part
HOOKS = {
    "backend": ("judgekit_backends() -> Mapping[str, type[judgekit.Backend]]", 'return {"example": ExampleBackend}'),
    "metric": ("judgekit_metrics() -> Mapping[str, type[judgekit.Metric]]", 'return {"example": ExampleMetric}'),
    "reading": ("judgekit_readings() -> Mapping[str, type[Reading]]", 'return {"example": ExampleReading}'),
    "loader": ("judgekit_datasets() -> Mapping[str, type[judgekit.DataLoader]]", 'return {"example": ExampleLoader}'),
    "trainer": ("judgekit_trainers() -> Mapping[str, type[judgekit.Trainer]]", 'return {"example": ExampleTrainer}'),
    "reporter": ("judgekit_reporters() -> Mapping[str, judgekit.Reporter]", 'return {"example": example_report}'),
    "section": (
        "judgekit_report_sections(run: judgekit.RunView) -> Sequence[judgekit.Section]",
        "return example_sections(run)",
    ),
    "command": ("judgekit_commands(app: click.Group) -> None", "app.add_command(example)"),
}
NAMES = {
    "backend": "ExampleBackend",
    "metric": "ExampleMetric",
    "reading": "ExampleReading",
    "loader": "ExampleLoader",
    "trainer": "ExampleTrainer",
    "reporter": "example_report",
    "section": "example_sections",
    "command": "example",
}
USED_IN = {
    "backend": "models:\n  mine: {backend: example}",
    "metric": "metrics:\n  mine: {type: example}",
    "reading": "judges:\n  mine: {backend: ollama, model: …, mode: example}",
    "loader": "data: {loader: example, path: items.txt}",
    "trainer": "train:\n  mine: {trainer: example, path: items.txt}",
    "reporter": "reports: [html, example]",
}


def write_plugin(name: str, parts: Sequence[str], into: Path) -> Path:
    """The folder of the new plugin. Raises UsageError for a name that is none, or taken, and for a folder that is
    there."""
    _check(name)
    folder = into / name
    if folder.exists():
        raise judgekit.UsageError(f"{folder} is there already: choose another name, or another place by --into")
    for path, text in _files(name, parts):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, "utf-8")
    return folder


def _check(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise judgekit.UsageError(f"{name!r} names no package: small letters, digits and _, such as judgekit_mine")
    known = {point.name for point in importlib.metadata.entry_points(group="judgekit")}
    if name in known or importlib.util.find_spec(name) is not None:
        raise judgekit.UsageError(f"{name} is taken, by a module or plugin that is installed: choose another name")


def _files(name: str, parts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(path, text) of every file."""
    yield "pyproject.toml", _PYPROJECT.format(name=name, project=name.replace("_", "-"), judgekit=_distribution())
    yield f"{name}/py.typed", ""
    yield f"{name}/__init__.py", _called(_init(parts), name)
    for part in parts:
        yield f"{name}/{part}.py", _called(_example(part), name)
    if "reading" in parts:
        yield f"{name}/prompts/default.j2", _called(_PROMPT, name)
    yield f"tests/test_{name}.py", _called(_tests(parts), name)
    yield "README.md", _called(_readme(name, parts), name)


def _example(part: str) -> str:
    return files("judgekit_authoring").joinpath(f"example_{part}.py").read_text("utf-8")


def _called(text: str, name: str) -> str:
    """The text of an example, by the plugin's own name."""
    text = re.sub(r"judgekit_authoring\.example_(\w+)", rf"{name}.\1", text).replace("judgekit_authoring", name)
    short = name.removeprefix("judgekit_")
    camel = "".join(part.capitalize() for part in short.split("_"))
    return text.replace("Example", camel).replace("example", short)


def _distribution() -> str:
    """The name by which judgekit is installed: on the index, `judgekit` is somebody else's."""
    owners = [point.dist for point in importlib.metadata.entry_points(group="judgekit", name="authoring")]
    return next(owner.name for owner in owners if owner is not None)


def _init(parts: Sequence[str]) -> str:
    typing = sorted(
        {name for part in parts for name in ("Mapping", "Sequence") if re.search(rf"\b{name}\b", HOOKS[part][0])}
    )
    lines = ['"""The plugin example."""', "", "from __future__ import annotations", ""]
    for_types = [f"    from collections.abc import {', '.join(typing)}"] if typing else []
    for_types += ["    from importlib.resources.abc import Traversable"] if "reading" in parts else []
    for_types += [""] if for_types and {"command", "reading"} & set(parts) else []
    for_types += ["    import click"] if "command" in parts else []
    for_types += ["    from judgekit.judging import Reading"] if "reading" in parts else []
    lines += ["from typing import TYPE_CHECKING", "", "import judgekit", "", "if TYPE_CHECKING:", *for_types, ""]
    for part in parts:
        head, body = HOOKS[part]
        loading = f"    from judgekit_authoring.example_{part} import {NAMES[part]}"
        lines += ["", "@judgekit.hookimpl", f"def {head}:", loading, "", f"    {body}", ""]
    if "reading" in parts:
        lines += [
            "",
            "@judgekit.hookimpl",
            "def judgekit_prompts() -> Mapping[str, Traversable]:",
            "    from importlib.resources import files",
            "",
            '    return {"example": files("judgekit_authoring") / "prompts"}',
            "",
        ]
    return "\n".join(lines)


def _tests(parts: Sequence[str]) -> str:
    lines = ['"""The contract tests of the plugin\'s parts."""', "", "from __future__ import annotations", ""]
    if "reading" in parts:
        lines += ["from pathlib import Path", ""]
    own = sorted(
        f"from judgekit_authoring.example_{part} import {NAMES[part]}" for part in parts if part not in _OF_HOOKS
    )
    whole = ["import judgekit_authoring"] if _OF_HOOKS & set(parts) else []
    lines += ["import judgekit.testing", "", *whole, *own]
    return "\n".join([*lines, "", *("\n" + _TESTS[part] for part in parts)])


def _readme(name: str, parts: Sequence[str]) -> str:
    uses = "\n".join(f"```yaml\n{USED_IN[part]}\n```\n" for part in parts if part in USED_IN)
    return f"# {name}\n\nA plugin for judgekit.\n\n{uses}\n`python -m pytest` runs the contract tests.\n"


_PYPROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{project}"
version = "0.1.0"
description = "A plugin for judgekit"
requires-python = ">=3.11"
dependencies = ["{judgekit}"]

[project.entry-points.judgekit]
{name} = "{name}"

[tool.setuptools]
packages = ["{name}"]

[tool.setuptools.package-data]
{name} = ["py.typed", "prompts/*.j2"]
"""
_PROMPT = """{#- for: a judge that answers by a number of stars
    reading: example
    scale: 1..5
    tokens: 16 -#}
Task: {{ instruction }}
Response: {{ response }}
Rate the response by {{ low }} to {{ high }} times ★ and write nothing else.
{%- if attempt %} Nothing but ★, please.{% endif %}
"""
_OF_HOOKS = {"section", "command"}  # what is tested by its hook
_TESTS = {
    "backend": """class TestExampleBackend(judgekit.testing.BackendContract):
    make = ExampleBackend
""",
    "metric": """class TestExampleMetric(judgekit.testing.MetricContract):
    make = ExampleMetric
""",
    "reading": """class TestExampleReading(judgekit.testing.ReadingContract):
    make = ExampleReading
    prompts = {"example": Path(__file__).parents[1] / "judgekit_authoring" / "prompts"}
    replies = {"★★★★": 4, "Five of five!": None, "★★★★★★": None}
""",
    "loader": """class TestExampleLoader(judgekit.testing.DataLoaderContract):
    make = ExampleLoader
    options = {"path": "items.txt"}
    files = {"items.txt": "What is 2 and 2?\\t4\\nName a colour.\\tred\\n"}
    damaged = {"items.txt": "a line without an answer\\n"}
""",
    "trainer": """class TestExampleTrainer(judgekit.testing.TrainerContract):
    make = ExampleTrainer
    options = {"path": "items.txt"}
    files = {"items.txt": "one word and one more\\n"}
""",
    "reporter": """class TestExampleReport(judgekit.testing.ReporterContract):
    make = example_report
""",
    "section": """class TestExampleSections(judgekit.testing.SectionContract):
    make = judgekit_authoring.judgekit_report_sections
""",
    "command": """class TestExampleCommand(judgekit.testing.CommandsContract):
    make = judgekit_authoring.judgekit_commands
""",
}
