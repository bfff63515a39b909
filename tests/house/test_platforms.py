"""What other systems lack: the locks of Unix, and a locale of UTF-8. Windows itself is not tried."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from measures import core, tree

BLOCKED = ("fcntl",)
IMPORTS = f"""
import importlib, pkgutil, sys
for name in {BLOCKED}:
    sys.modules[name] = None
import judgekit
count = 0
for package in ("judgekit", *sys.argv[1:]):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
            count += 1
print(count)
"""
RUN = f"""
import sys
for name in {BLOCKED}:
    sys.modules[name] = None
from judgekit.cli import main
main()
"""
CONFIG = """
name: grüße
data: {path: data.json}
models: {a: {backend: responses, path: data.json, field: output, style: eigen.j2}}
metrics: {e: {type: exact_match}}
"""
ITEMS = [{"id": f"ü{n}", "instruction": "Sag „—“ …", "output": "Größe ≥ 日本"} for n in range(3)]
NO_UTF8 = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def packages() -> list[str]:
    from test_house import plugin_packages

    return plugin_packages()


def test_every_module_imports_without_what_windows_lacks() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS, *packages()], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) > 200


def a_run(folder: Path, code: list[str], **environment: str) -> bytes:
    folder.mkdir()
    (folder / "judgekit.yaml").write_text(CONFIG.replace("grüße", "gr"), "utf-8")
    (folder / "data.json").write_text(json.dumps(ITEMS, ensure_ascii=False), "utf-8")
    (folder / "eigen.j2").write_text("Frage — {{ instruction }}", "utf-8")
    command = [sys.executable, "-P", *code, "run", "--progress", "none"]
    done = subprocess.run(command, cwd=folder, capture_output=True, env=os.environ | environment, timeout=120)
    assert done.returncode == 0, done.stderr
    (record,) = (folder / "runs").glob("*/record.json")
    return record.read_bytes() + b"".join(path.read_bytes() for path in sorted(record.parent.rglob("*.jsonl")))


def test_a_run_is_the_same_in_another_locale_and_without_locks(tmp_path: Path) -> None:
    usual = a_run(tmp_path / "usual", ["-m", "judgekit"])
    assert a_run(tmp_path / "ascii", ["-m", "judgekit"], **NO_UTF8) == usual
    assert a_run(tmp_path / "windows", ["-c", RUN]) == usual


WRITES = {"read_text": 0, "write_text": 1, "open": 0}


def without_encoding(node: ast.Call) -> bool:
    """Whether the call reads or writes text in the encoding of the locale."""
    named = {keyword.arg: keyword.value for keyword in node.keywords}
    if "encoding" in named or None in named:
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in ("run", "Popen", "check_output"):
        return "text" in named or "universal_newlines" in named
    if name in ("read_text", "write_text"):
        return len(node.args) <= WRITES[name]
    if name == "open":
        mode = named.get("mode") or (node.args[-1] if node.args else None)
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        if isinstance(owner, ast.Name) and owner.id in ("os", "tarfile", "gzip", "Corpus", "safetensors"):
            return False
        return not (isinstance(mode, ast.Constant) and isinstance(mode.value, str) and "b" in mode.value)
    return name == "TextIOWrapper"


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("path.read_text()", True),
        ("path.read_text('utf-8')", False),
        ("path.write_text(text)", True),
        ("path.open()", True),
        ("path.open('w')", True),
        ("path.open('rb')", False),
        ("open(path)", True),
        ("open(path, 'w', encoding='ascii')", False),
        ("subprocess.run(command, text=True)", True),
    ],
)
def test_the_check_itself(code: str, wrong: bool) -> None:
    node = ast.parse(code, mode="eval").body
    assert isinstance(node, ast.Call)
    assert without_encoding(node) is wrong


def test_text_files_are_utf8_whatever_the_locale() -> None:
    folders = [core(), *(Path(__import__(name).__file__ or "").parent for name in packages())]
    wrong = [
        f"{path.name}:{node.lineno}: {ast.unparse(node)}"
        for folder in folders
        for path in folder.rglob("*.py")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and without_encoding(node)
    ]
    assert not wrong
