"""`loader: arc`: ARC's science questions, in the published JSONL and in the hub's.

Published: {"id", "question": {"stem", "choices": [{"text", "label"}]}, "answerKey"}; on the hub "question" is the stem
and "choices" holds two lists, {"text", "label"}. Questions have three to five options, labelled A to E or 1 to 5; in a
prompt they are lettered from A, so that all questions look alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import judgekit
from judgekit_datasets.questions import (
    Place,
    QuestionFile,
    checked_options,
    checked_question,
    json_objects,
    text_of,
    texts_of,
)


class ARC(QuestionFile):
    """ARC's science questions, in the published JSONL."""

    def read(self, path: Path) -> Iterator[tuple[Place, judgekit.Sample]]:
        return ((place, _sample(fields, place)) for place, fields in json_objects(path))


def _sample(fields: dict[str, Any], place: Place) -> judgekit.Sample:
    question = fields.get("question")
    if isinstance(question, dict):
        stem, choices = text_of(question, "stem", place), question.get("choices")
    else:
        stem, choices = text_of(fields, "question", place), fields.get("choices")
    texts, labels = _options(choices, place)
    options = checked_options(texts, place)
    if len(set(labels)) < len(labels):
        raise place.error(f"two options have the same label: {', '.join(labels)}")
    key = fields.get("answerKey")
    if key is None or key == "":
        raise place.error("no 'answerKey': a split without labels cannot be scored")
    if str(key) not in labels:
        raise place.error(f"the answer is {key!r}, and the options are {', '.join(labels)}")
    return judgekit.Sample(
        id=text_of(fields, "id", place),
        instruction=checked_question(stem, place),
        choices=options,
        answer=labels.index(str(key)),
    )


def _options(choices: Any, place: Place) -> tuple[list[str], list[str]]:
    """The texts and labels of a question in either layout."""
    if isinstance(choices, dict):
        texts, labels = texts_of(choices, "text", place), texts_of(choices, "label", place)
        if len(texts) != len(labels):
            raise place.error(f"{judgekit.counted(len(texts), 'option')} and {judgekit.counted(len(labels), 'label')}")
        return texts, labels
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise place.error("no 'choices'" if choices is None else '\'choices\' should be a list of {"text", "label"}')
    return [text_of(choice, "text", place) for choice in choices], [
        text_of(choice, "label", place) for choice in choices
    ]
