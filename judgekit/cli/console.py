"""Text that is safe to print: without control characters or CI commands from outside."""

from __future__ import annotations

import os
import re
import unicodedata

# Commands to CI systems in a job's output: ::add-mask:: and ##[…] (GitHub), ##vso[…] (Azure), ##teamcity[…].
_COMMANDS = re.compile(r"::|##(?=\w*\[)")


def printable(text: str) -> str:
    """The text with terminal controls and bidirectional marks shown as escapes; line breaks and tabs stay. In a CI job
    the marks of workflow commands are taken apart."""
    shown = "".join(
        character if character in "\n\t" or not _hidden(character) else character.encode("unicode_escape").decode()
        for character in text
    )
    if any(os.environ.get(name) for name in ("CI", "GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION")):
        shown = _COMMANDS.sub(lambda mark: " ".join(mark.group()), shown)
    return shown


def _hidden(character: str) -> bool:
    # Cc: ESC and friends; Cf: bidi marks; Cs: lone surrogates, which no terminal can encode; Zl, Zp: breaks of a line.
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
