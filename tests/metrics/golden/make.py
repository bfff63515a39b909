"""Writes the golden prompts: questions of our own in MMLU's published format, put together independently of judgekit.

The format is that of `evaluate.py` in github.com/hendrycks/test: its `format_subject` puts a space before each word of
the subject's name, which makes two after "about".
"""

import csv
from pathlib import Path

HERE = Path(__file__).parent
DATA = HERE.parents[2] / "examples" / "quickstart" / "data" / "mmlu"


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def example(row, answered):
    lines = [row[0], "A. " + row[1], "B. " + row[2], "C. " + row[3], "D. " + row[4]]
    return "\n".join(lines) + "\nAnswer:" + (" " + row[5] + "\n\n" if answered else "")


def published(folder, subject, number, shots):
    """The prompt of a test question with so many worked examples."""
    words = "".join(" " + word for word in subject.split("_"))
    head = "The following are multiple choice questions (with answers) about " + words + ".\n\n"
    worked = [example(row, True) for row in rows(folder / "dev" / f"{subject}_dev.csv")[:shots]]
    question = rows(folder / "test" / f"{subject}_test.csv")[number]
    return head + "".join(worked) + example(question, False)


CASES = {
    "everyday_words-5": ("everyday_words", 0, 5),
    "chemistry-2": ("chemistry", 3, 2),
    "arithmetic-0": ("arithmetic", 1, 0),
}

if __name__ == "__main__":
    for name, (subject, number, shots) in CASES.items():
        (HERE / f"{name}.txt").write_text(published(DATA, subject, number, shots), encoding="utf-8")
