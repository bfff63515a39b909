"""`loader: hellaswag`: contexts with four endings, in the published JSONL (ctx_a, ctx_b, endings, label).

The text is prepared as lm-evaluation-harness does, to whose figures others compare: the activity in front; ctx_b with a
capital at its beginning and small letters after it; " [title]" made a full stop and other brackets taken out, which
WikiHow's part has as artefacts; double spaces made single, once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import JsonValue

import judgekit
from judgekit_datasets.questions import (
    Place,
    QuestionFile,
    answer_index,
    checked_options,
    json_objects,
    text_of,
    texts_of,
)

_BRACKETS = re.compile(r"\[.*?\]")


class HellaSwag(QuestionFile):
    """Contexts with four endings, in HellaSwag's published JSONL."""

    def read(self, path: Path) -> Iterator[tuple[Place, judgekit.Sample]]:
        seen: dict[tuple[str, str], int] = {}
        for number, (place, fields) in enumerate(json_objects(path)):
            known = tuple(str(fields.get(key, "")) for key in ("source_id", "ind"))
            if "ind" in fields and (first := seen.setdefault((known[0], known[1]), place.line)) != place.line:
                raise place.error(
                    f"the question {fields['ind']} ({known[0] or 'no source_id'}) is also in line {first}"
                )
            yield place, _sample(fields, f"{path.stem}-{number:05d}", place)


def _sample(fields: dict[str, JsonValue], sample_id: str, place: Place) -> judgekit.Sample:
    begin, rest = text_of(fields, "ctx_a", place), text_of(fields, "ctx_b", place)
    activity = text_of(fields, "activity_label", place)
    endings = texts_of(fields, "endings", place)
    if len(endings) != 4:
        raise place.error(f"{len(endings)} endings; HellaSwag has 4")
    context = prepared(f"{activity}: {begin} {rest.capitalize()}")
    if not f"{begin}{rest}".strip():
        raise place.error("the context is empty")
    kept = {key: fields[key] for key in ("ind", "source_id", "split_type") if key in fields}
    return judgekit.Sample(
        id=sample_id,
        instruction=context,
        choices=checked_options([prepared(ending) for ending in endings], place),
        answer=answer_index(fields.get("label"), len(endings), place),
        category=activity,
        metadata={**kept, "continuation": True},
    )


def prepared(text: str) -> str:
    """A context or an ending as it is shown to a model."""
    return _BRACKETS.sub("", text.strip().replace(" [title]", ". ")).replace("  ", " ")
