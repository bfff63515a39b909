"""Make the example report again from the record beside it, and its pictures for the README.

    python reports/examples/make.py [RUN]        # or: make example-report [RUN=runs/quickstart-…]

With RUN, a finished run of examples/quickstart, its files become the example's first.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent / "quickstart"
FILES = ("record.json", "samples.jsonl", "rows.jsonl", "responses", "timing.json")
PICTURES = {"light": "report.png", "dark": "report-dark.png"}
SIZE = {"width": 1280, "height": 1000}


def take(run: Path) -> None:
    """The run's own files, without its reports."""
    shutil.rmtree(HERE, ignore_errors=True)
    HERE.mkdir()
    for name in FILES:
        source = run / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, HERE / name)


def draw(page: Path) -> None:
    """The top of the page in Debian's Chromium, in both colour schemes."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for scheme, name in PICTURES.items():
            shown = chromium.new_page(viewport=SIZE, color_scheme=scheme)
            shown.goto(page.resolve().as_uri())
            shown.screenshot(path=HERE / name)
        chromium.close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        take(Path(sys.argv[1]))
    subprocess.run([sys.executable, "-m", "judgekit", "report", str(HERE), "--format", "html"], check=True)
    draw(HERE / "report.html")
