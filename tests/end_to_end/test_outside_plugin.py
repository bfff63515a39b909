"""The plugin of CONTRIBUTING.md, as a package of its own: listed, run, and blocked by name."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = """\
name: loud
data: {path: items.json}
models: {loud: {backend: shout, style: plain}}
metrics: {exact: {type: exact_match}}
reports: [json]
"""


def write_plugin(checkout: Path, folder: Path) -> None:
    text = (checkout / "CONTRIBUTING.md").read_text("utf-8")
    (folder / "shout.py").write_text(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0])
    (folder / "pyproject.toml").write_text(re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[0])


def use_plugin(python: Path, here: Path, environment: dict[str, str]) -> None:
    def judgekit(*args: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [str(python), "-P", "-m", "judgekit", *args]
        return subprocess.run(command, cwd=here, env=environment | more, capture_output=True, text=True, timeout=120)

    (here / "items.json").write_text(json.dumps([{"instruction": "Say it.", "output": "SAY IT."}]))
    (here / "judgekit.yaml").write_text(CONFIG)
    listed = judgekit("plugins")
    assert re.search(r"shout +judgekit-shout 1\.0 +backend shout", listed.stdout), listed
    run = judgekit("run", "--progress", "none")
    assert run.returncode == 0, run.stderr
    assert re.search(r"exact +loud +100\.0 %", run.stdout), run.stdout
    blocked = judgekit("run", JUDGEKIT_BLOCK_PLUGINS="shout")
    assert blocked.returncode == 2
    assert "no backend is named 'shout'" in blocked.stderr


def test_a_plugin_installed_beside_judgekit(checkout: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    write_plugin(checkout, source)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*install, "--target", str(target), str(source)], check=True, timeout=120)
    use_plugin(Path(sys.executable), tmp_path, os.environ | {"PYTHONPATH": str(target)})


@pytest.mark.slow
def test_a_plugin_in_a_fresh_environment(checkout: Path, tmp_path: Path) -> None:
    """judgekit's own wheel, its core dependencies, and the plugin: nothing else."""
    if not (checkout / "judgekit").is_dir():
        pytest.skip("the wheel is built from the checkout, and this is none")
    source = tmp_path / "source"
    source.mkdir()
    write_plugin(checkout, source)
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", str(checkout), str(source)]
    subprocess.run(install, check=True, timeout=600)
    use_plugin(python, tmp_path, dict(os.environ))
