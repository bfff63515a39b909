"""Functions that the commands share: from their options to the work, and from the work to the terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

import judgekit
import judgekit.data
from judgekit_synthesis.making import CallFailed, Fields, Maker, Product, SynthesisTally

WRITES = {"temperature": 0.8, "top_p": 0.95}  # a writer that always says the likeliest repeats itself


def read_items(path: Path) -> list[Fields]:
    """The items of an instruction file: id, instruction, input, output ("" without one), classification. Of a seed in
    Self-Instruct's published shape (Wang et al. 2023) the first instance is read."""
    return [
        {
            "id": item.sample.id,
            "instruction": item.sample.instruction,
            "input": item.sample.input,
            "output": item.sample.reference or "",
            "classification": True in (item.fields.get("classification"), item.fields.get("is_classification")),
        }
        for item in judgekit.data.read_instructions(path, reshape=_with_instance)
    ]


def _with_instance(entry: judgekit.data.Entry) -> judgekit.data.Entry:
    """The object, with the input and the output of its first instance for its own."""
    instances = entry.fields.get("instances")
    if not (isinstance(instances, list) and instances and isinstance(instances[0], dict)):
        return entry
    fields = {key: value for key, value in entry.fields.items() if key != "instances"}
    return replace(entry, fields={**instances[0], **fields})


def maker_for(client: judgekit.Client, given: Mapping[str, Any]) -> Maker:
    """A maker with the model that a command's options name."""
    part = {**WRITES, **judgekit.read_overrides(given["settings"]), "backend": given["backend"]}
    return Maker(client, client.model(part, "--set"), given["seed"], given["skip_failed"])


def told(model: judgekit.ModelClient) -> dict[str, Any]:
    """The parts of a model that decide its replies."""
    sampling = model.config.sampling.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return {"identity": model.identity, "sampling": sampling}


def carry_out(
    command: str, maker: Maker, into: Path, work: Mapping[str, Any], keep: int | None, run: Callable[[], bool]
) -> int:
    """Do the work, write its product and print a summary. Returns the exit code."""
    client, tally = maker.client, maker.tally
    product = product_of(command, into, {"seed": maker.seed, **work, "writer": told(maker.writer)})
    stopped = ""
    try:
        complete = run()
    except CallFailed as failed:
        complete, stopped = False, str(failed)
    except judgekit.JudgekitError as error:
        product.write(tally, client.prompts_used, False, type(error).__name__)
        raise
    written = product.write(tally, client.prompts_used, complete, stopped)
    if not complete:
        why = stopped or "too few were kept"
        click.echo(click.style("INCOMPLETE", fg="red", bold=True) + f": {why}")
    for line in summary(tally, product.path, keep, written):
        click.echo(line)
    if stopped:
        larger = ", with the same budget again or a larger one" if client.stopped else ""
        click.echo(f"The same command goes on from there{larger}.")
    return 0 if complete else 3


def product_of(command: str, into: Path, work: Mapping[str, Any]) -> Product:
    """The file to be made. Raises UsageError where it cannot be."""
    plain: dict[str, Any] = json.loads(json.dumps({"command": command, **work}))  # as it is read back from JSON
    product = Product(into, plain)
    product.claim()
    return product


def summary(tally: SynthesisTally, path: Path, keep: int | None, written: bool, made: str = "written") -> Iterator[str]:
    """Counts of the items that were kept and left out, with reasons; `made`: the word for how they came about."""
    wanted = f" of {keep:,} wanted" if keep is not None else ""
    calls = ", ".join(f"{count:,} for {stage}" for stage, count in tally.asked.items())
    yield f"{len(tally.kept):,} kept{wanted}; {tally.written:,} {made}" + (f" (calls: {calls})" if calls else "")
    for reason, count in tally.rejected.most_common():
        yield f"  {count:6,} left out: {reason}"
    yield f"wrote {path}" if written else f"{path} stays as it is: an earlier start got further"
