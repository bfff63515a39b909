"""What a report weighs and costs: `python benchmarks/report.py [--items N]` (with tests/support on PYTHONPATH).

A made-up run of N items, two systems and three metrics is written to a temporary folder, and `judgekit report` is timed
on it in a process of its own, which also says how much memory it had at most. Where Chromium and playwright are
installed, the main page is opened three times. The promises: 1,000 items in at most 5 MB and 3 s; 100,000 items with at
most 500 MB of memory, opened in less than 3 s.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from judgekit.run_folder import RunFolder
from sample_run import sample_run

CHROMIUM = Path("/usr/bin/chromium")
REPORT = """
import resource, sys, time
from pathlib import Path
from judgekit.run_folder import RunFolder
from judgekit.plugins import build_manager
from judgekit.pipeline.report import write_reports
start = time.monotonic()
write_reports(RunFolder(Path(sys.argv[1])), ["html"], build_manager())
print(time.monotonic() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def write(folder: RunFolder, items: int) -> None:
    view = sample_run(items * 4 // 5, 1)  # a fifth of as many questions come on top
    files = {"samples.jsonl": folder.samples.write(view.samples), "rows.jsonl": folder.rows.write(view.rows)}
    for system in view.record.systems:
        mine = (one for one in view.responses if one.system == system)
        files[f"responses/{system}.jsonl"] = folder.responses(system).write(mine)
    folder.write_record(view.record.model_copy(update={"files": files}))


def opened(page: Path) -> str:
    """Seconds until the page has loaded, each of three times."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return "not opened: playwright is not installed"
    if not CHROMIUM.exists():
        return f"not opened: no {CHROMIUM}"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--headless", "--no-sandbox"])
        seconds = []
        for _ in range(3):
            tab = browser.new_page()
            start = time.monotonic()
            tab.goto(page.as_uri())
            seconds.append(time.monotonic() - start)
            tab.close()
        browser.close()
    return "opened in " + ", ".join(f"{one:.2f} s" for one in seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[1_000, 100_000], help="default: 1000 100000")
    parser.add_argument("--smoke", action="store_true", help="the smallest form: whether it runs, in seconds")
    arguments = parser.parse_args()
    for items in [100] if arguments.smoke else arguments.items:
        with tempfile.TemporaryDirectory() as place:
            folder = RunFolder(Path(place) / "run")
            # In a process of its own: what making the run takes is not given back.
            child = os.fork()
            if child == 0:
                write(folder, items)
                os._exit(0)
            if os.waitpid(child, 0)[1]:
                sys.exit("the run could not be written")
            command = [sys.executable, "-c", REPORT, str(folder.path)]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            seconds, peak = map(float, said.split())
            page = folder.path / "report.html"
            pages = list((folder.path / "report").glob("*.html"))
            size = page.stat().st_size / 1e6
            print(f"{items:,} items: rendered in {seconds:.1f} s, at most {peak:.0f} MB of memory; "
                  f"report.html {size:.1f} MB, {len(pages)} further pages; {opened(page)}")  # fmt: skip


if __name__ == "__main__":
    main()
