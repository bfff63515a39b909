"""The instruction items: which fact goes to which split, and in which words it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from random import Random

from exampledata.patterns import PATTERNS
from exampledata.recall import RECALL
from exampledata.tables import SPLITS, Case, Task

WORDINGS = 4  # training wordings in which each fact of a recall task is asked


@dataclass(frozen=True)
class SplitTask:
    """A task and its cases. In a recall task the pretraining text states all of them, the instructions ask a part."""

    task: Task
    cases: tuple[Case, ...]
    splits: dict[str, tuple[Case, ...]]


def split_tasks(tasks: Iterable[Task], seed: int) -> list[SplitTask]:
    """Draws each task's test and validation cases, one of a group, and the cases that training items ask for."""
    out = []
    for task in tasks:
        rng = Random(f"{seed}/{task.name}")
        cases = RECALL[task.name]() if task.kind == "recall" else PATTERNS[task.name](rng)
        left = rng.sample(cases, len(cases))
        splits = {}
        for split in ("test", "validation"):
            held, left = _hold_out(left, task.items[split])
            splits[split] = tuple(held)
        if task.kind == "recall":
            # Few facts, each asked in several wordings, test and validation facts among them: with more facts and
            # fewer wordings a model this small learns the prompts by heart and fails on unseen words.
            asked = -(-task.items["train"] // min(WORDINGS, len(task.wordings["train"])))
            left = ([case for split in ("test", "validation") for case in splits[split]] + left)[:asked]
        splits["train"] = tuple(left)
        out.append(SplitTask(task, tuple(cases), splits))
    return out


def _hold_out(cases: Sequence[Case], count: int) -> tuple[list[Case], list[Case]]:
    """The first `count` cases of distinct groups, and the cases of all other groups."""
    chosen = {case.group: case for case in reversed(cases)}  # the first of each group
    groups = list(dict.fromkeys(case.group for case in cases))[:count]
    if len(groups) < count:
        raise ValueError(f"{count} cases wanted, {len(groups)} groups there")
    return [chosen[group] for group in groups], [case for case in cases if case.group not in groups]


def held_out_texts(split_tasks: Iterable[SplitTask]) -> tuple[str, ...]:
    """The pattern tasks' test inputs and outputs, casefolded: no other text of the data may contain one of them."""
    texts = []
    for each in split_tasks:
        if each.task.kind == "pattern":
            texts += [case.slots["a"] for case in each.splits["test"]]
            # An output that is not the whole rewritten sentence ("five words") is many inputs' and gives nothing away.
            if each.task.output == "{b}":
                texts += [case.slots["b"] for case in each.splits["test"]]
    return tuple(text.casefold() for text in texts)


def is_clean(text: str, held_out: Sequence[str]) -> bool:
    folded = text.casefold()
    return not any(held in folded for held in held_out)


def items(split_tasks: Sequence[SplitTask]) -> list[dict[str, str]]:
    """The items in rounds over the categories, so that any run of a few dozen items shows all kinds."""
    held_out = held_out_texts(split_tasks)
    by_category: dict[str, list[dict[str, str]]] = {}
    for each in split_tasks:
        by_category.setdefault(each.task.category, []).extend(_task_items(each, held_out))
    return [
        row
        for split in SPLITS
        for round_ in zip_longest(*(_taking_turns(rows, split) for rows in by_category.values()))
        for row in round_
        if row is not None
    ]


def _taking_turns(rows: list[dict[str, str]], split: str) -> list[dict[str, str]]:
    """A category's rows of a split in the order of their numbers, so that its tasks take turns."""
    return sorted((row for row in rows if row["split"] == split), key=lambda row: row["id"].rpartition("-")[2])


def _task_items(each: SplitTask, held_out: Sequence[str]) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for split in SPLITS:
        cases = each.splits[split]
        if split != "test":
            cases = tuple(case for case in cases if is_clean(" ".join(case.slots.values()), held_out))
        wordings = each.task.wordings[split]
        for number in range(each.task.items[split]):
            lap, index = divmod(number, len(cases))
            if lap >= len(wordings):
                raise ValueError(f"{each.task.name}: not enough cases for {each.task.items[split]} items of {split}")
            wording, case = wordings[(index + lap) % len(wordings)], cases[index]
            instruction, _, given = case.fill(wording).partition(" | ")
            rows.append(
                {
                    "id": f"{each.task.name}-{len(rows) + 1:03d}",
                    "category": each.task.category,
                    "split": split,
                    "instruction": instruction,
                    "input": given,
                    "output": case.fill(each.task.output),
                }
            )
    return rows
