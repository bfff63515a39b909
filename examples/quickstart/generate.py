"""Writes the quickstart's data files from the tables in `facts/`.

python examples/quickstart/generate.py           writes data/
python examples/quickstart/generate.py --check   writes nothing; exits with 1 if data/ differs
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from exampledata import corpus, instructions, questions
from exampledata.tables import tasks

DATA = Path(__file__).resolve().parent / "data"
SEED = 2024


def build(seed: int) -> dict[str, bytes]:
    """Path under `data/` to file content; the same seed and tables give the same bytes."""
    split = instructions.split_tasks(tasks(), seed)
    rows = instructions.items(split)
    files = {
        "instructions.json": json.dumps(rows, indent=2, ensure_ascii=False) + "\n",
        "pretrain.txt": corpus.text(split, seed),
        **questions.files(seed),
    }
    return {name: content.encode() for name, content in files.items()}


def differing(files: dict[str, bytes]) -> list[str]:
    """The names whose file under `data/` is missing, differs, or should not be there."""
    there = {str(path.relative_to(DATA)) for path in DATA.rglob("*") if path.is_file()}
    wrong = [name for name in files if name not in there or (DATA / name).read_bytes() != files[name]]
    return sorted([*wrong, *(there - files.keys())])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if data/ differs")
    parser.add_argument("--seed", type=int, default=SEED, help="another draw of the same facts (default: %(default)s)")
    options = parser.parse_args()
    files = build(options.seed)
    if options.check:
        wrong = differing(files)
        for name in wrong:
            print(f"data/{name} is not what the generator makes", file=sys.stderr)
        return 1 if wrong else 0
    for name, content in files.items():
        path = DATA / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        print(f"{path.relative_to(DATA.parent)}: {len(content):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
