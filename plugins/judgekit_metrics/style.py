"""What two answers look like beside each other: by how much one is the longer, and has more headers, lists and bold
text.

The features are those of Arena-Hard's style control (Li et al. 2024): Markdown is counted outside code blocks, for
each thousand characters, since a long answer has more of all.
"""

from __future__ import annotations

import re

CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
MARKS = {
    "style_headers": re.compile(r"^#{1,6}\s", re.MULTILINE),
    "style_lists": re.compile(r"^[ \t]*(?:\d+\.|[-*+])\s", re.MULTILINE),
    "style_bold": re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__"),
}
LENGTH = "style_length"
STYLE = (LENGTH, *MARKS)
PER = 1000  # characters


def style_differences(ours: str, theirs: str) -> dict[str, float]:
    """Our answer's style less theirs, by feature: the length as a share of both, of the marks how many more a thousand
    characters hold."""
    long, short = max(len(ours), 1), max(len(theirs), 1)
    prose = CODE.sub("", ours), CODE.sub("", theirs)
    differences = {LENGTH: (len(ours) - len(theirs)) / (long + short)}
    for name, mark in MARKS.items():
        mine, other = (len(mark.findall(text)) for text in prose)
        differences[name] = PER * (mine / long - other / short)
    return differences
