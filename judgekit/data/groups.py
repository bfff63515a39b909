"""Groups of samples by one of their fields: by category, by `metadata.difficulty`, by whatever the data have.

A field is one of Sample's own, or a key of its metadata, with or without `metadata.` before it; dots lead into nested
keys. A value that is a list puts its sample into each of the groups that it names; `turns` and
`choices` count by their number. A field that is missing, null or empty has no value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pydantic import JsonValue

from judgekit.errors import UsageError
from judgekit.records import Sample
from judgekit.results import RunRecord
from judgekit.text import did_you_mean

NONE = "(none)"  # the group of the samples without the field
MOST = 200  # groups; a field with more of them names samples rather than groups
_OWN = ("category", "id", "instruction", "input", "reference", "answer", "choices", "turns", "system")
_METADATA = "metadata."


def labels(sample: Sample, field: str) -> tuple[str, ...]:
    """The groups that the sample is in by this field; none where it has no value there.

    Raises UsageError for a value that names no group: a mapping, or a list of lists.
    """
    value = _value(sample, field)
    values = value if isinstance(value, list) else [value]
    return tuple(dict.fromkeys(label for one in values if (label := _label(sample, field, one))))


def groups(samples: Iterable[Sample], field: str) -> dict[str, list[str]]:
    """Sample ids by group, in order. Raises as `labels` does."""
    by_label: dict[str, list[str]] = {}
    for sample in samples:
        for label in labels(sample, field) or (NONE,):
            by_label.setdefault(label, []).append(sample.id)
    return {label: by_label[label] for label in in_order(by_label)}


def in_order(names: Iterable[str]) -> list[str]:
    """Names of groups: numbers by value, other names as words, NONE last."""
    return sorted(names, key=_order)


def clusters(samples: Sequence[Sample], field: str) -> dict[str, str]:
    """The one cluster of each sample, by id. Raises UsageError for a sample with none, or with several."""
    by_sample: dict[str, str] = {}
    without = []
    for sample in samples:
        names = labels(sample, field)
        if len(names) > 1:
            raise UsageError(f"sample {sample.id!r} has several values of {field!r}; a cluster is one")
        if not names:
            without.append(sample.id)
        else:
            by_sample[sample.id] = names[0]
    if without:
        raise UsageError(
            f"{len(without)} of {len(by_sample) + len(without)} samples have no {field!r}, such as "
            f"{', '.join(map(repr, without[:3]))}; every sample needs its cluster"
            + ("" if by_sample else _hint(samples, field))
        )
    return by_sample


def clusters_of(record: RunRecord, samples: Iterable[Sample]) -> dict[str, str] | None:
    """The cluster of each sample in a run's intervals, or None where the run has none. Raises as `clusters` does."""
    field = record.part("statistics").get("cluster")
    return clusters(list(samples), field) if isinstance(field, str) else None


def has(samples: Iterable[Sample], field: str) -> bool:
    """True if some sample has the field."""
    return any(labels(sample, field) for sample in samples)


def check_groups(datasets: Mapping[str, Sequence[Sample]], field: str) -> Iterator[tuple[bool, str]]:
    """The problems of a breakdown of these data sets (by name) by this field: (True for an error, message)."""
    without = [name for name, samples in datasets.items() if not has(samples, field)]
    if len(without) == len(datasets):
        every = [sample for samples in datasets.values() for sample in samples]
        yield True, f"no sample has a field {field!r}{_hint(every, field)}"
        return
    for name in without:
        yield False, f"no sample of {name} has a field {field!r}: it is not broken down"
    for name, samples in datasets.items():
        if (count := len(groups(samples, field))) > MOST:
            yield True, f"{field!r} has {count:,} values in {name}; at most {MOST} groups can be told apart by anyone"


def known_fields(samples: Iterable[Sample]) -> list[str]:
    """The fields that some sample has, those of its metadata as metadata.KEY."""
    names: dict[str, None] = {}
    for sample in samples:
        names.update({name: None for name in _OWN if name not in names and _own(sample, name) not in (None, "")})
        names.update(dict.fromkeys(_keys(sample.metadata, _METADATA)))
    return list(names)


def _keys(metadata: Mapping[str, JsonValue], above: str) -> Iterator[str]:
    for key, value in metadata.items():
        if isinstance(value, Mapping):
            yield from _keys(value, f"{above}{key}.")
        else:
            yield f"{above}{key}"


def _hint(samples: Sequence[Sample], field: str) -> str:
    known = known_fields(samples)
    short = [name.removeprefix(_METADATA) for name in known]
    return did_you_mean(field, [*known, *short]) or f" (there are: {', '.join(known)})"


def _value(sample: Sample, field: str) -> JsonValue:
    if field in _OWN:
        return _own(sample, field)
    return _inner(sample.metadata, field.removeprefix(_METADATA))


def _own(sample: Sample, field: str) -> str | int | None:
    if field == "turns":
        return len(sample.turns) + 1
    if field == "choices":
        return len(sample.choices) or None
    value: str | int | None = getattr(sample, field)
    return value


def _inner(tree: Mapping[str, JsonValue], path: str) -> JsonValue:
    """The value at a dotted path; a key that has dots itself comes first."""
    if path in tree:
        return tree[path]
    head, dot, rest = path.partition(".")
    inner = tree.get(head) if dot else None
    return _inner(inner, rest) if isinstance(inner, Mapping) else None


def _label(sample: Sample, field: str, value: JsonValue) -> str:
    if isinstance(value, Mapping | list):
        kind = "a mapping: name one of its keys" if isinstance(value, Mapping) else "a list of lists"
        raise UsageError(f"{field!r} of sample {sample.id!r} is {kind}")
    if isinstance(value, bool):
        return "true" if value else "false"
    text = "" if value is None else f"{value:.12g}" if isinstance(value, float) else str(value)
    return " ".join(text.split())


def _order(label: str) -> tuple[bool, bool, float, str]:
    try:
        number = float(label) if label.isascii() else None
    except ValueError:
        number = None
    if number is not None and number != number:  # "nan" is a name
        number = None
    return label == NONE, number is None, number or 0.0, label
