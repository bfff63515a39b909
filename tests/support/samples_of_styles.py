"""Samples for tests of styles, and a conversation as text with what is learnt in «…»."""

from __future__ import annotations

from collections.abc import Iterable

from judgekit.prompting.styles import Span
from judgekit.records import Sample

SHORT = Sample(id="1", instruction="Give the plural.", reference="mice")
WITH_INPUT = SHORT.model_copy(update={"input": "mouse"})
TALK = Sample(
    id="2", system="Be brief.", instruction="Hi.", reference="안녕 🙂", turns=("And?",), turn_references=("Bye.",)
)


def shown(spans: Iterable[Span]) -> str:
    return "".join(f"«{span.text}»" if span.learn else span.text for span in spans)
