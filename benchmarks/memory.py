"""The memory that a whole run takes, by its number of items.

    python benchmarks/memory.py [--items 100000]

Stored responses are compared with their references, so that nothing but judgekit itself is measured: samples, calls,
rows, tables, record and report. The figure is the largest resident memory of the run's process, to be 250 MiB at
100,000 items. Ends with 1 when it is missed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

MOST = 250.0
CONFIG = """
name: many
data: {path: data.json}
models: {a: {backend: responses, path: data.json, field: a}}
metrics: {e: {type: exact_match}}
reports: [json]
"""


def item(number: int) -> dict[str, str]:
    known = f"The town number {number} is called Town {number}; it lies by a river."
    question = f"Name the town number {number} on the map of the county, and say a word about it."
    answer = known if number % 2 else "I do not know this town."
    return {"id": str(number), "instruction": question, "output": known, "a": answer}


def peak(items: int) -> float:
    """MiB, the largest of any run so far: ask for the smallest first."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data.json").write_text(json.dumps([item(number) for number in range(items)]), "utf-8")
        (folder / "judgekit.yaml").write_text(CONFIG, "utf-8")
        command = [sys.executable, "-P", "-m", "judgekit", "run", "--progress", "none"]
        subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--smoke", action="store_true", help="the smallest form: whether it runs, in seconds")
    options = parser.parse_args()
    items = 200 if options.smoke else options.items
    few, many = peak(items // 10), peak(items)
    slope = (many - few) * 1024 / (items - items // 10)
    print(f"{items:,} items: {many:.0f} MiB (to reach: {MOST:.0f}); {slope:.2f} KB an item more than {items // 10:,}")
    return 0 if many <= MOST or options.smoke else 1


if __name__ == "__main__":
    sys.exit(main())
