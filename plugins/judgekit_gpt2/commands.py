"""`judgekit gpt2 …`: the trainers and the backend from the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

_INTO = click.option("--into", type=click.Path(path_type=Path), required=True, help="Folder for the checkpoint.")
_SET = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any option of the trainer, as JSON or text."
)


@click.group()
def gpt2() -> None:
    """Train a GPT-2 from scratch, fine-tune it, and let it write."""


@gpt2.command()
@click.argument("data", nargs=-1, required=True, type=click.Path())
@_INTO
@click.option(
    "--model", default="gpt2", show_default=True, help="gpt2, gpt2-medium, gpt2-large, gpt2-xl, or sizes as JSON."
)
@click.option("--bpe", type=int, help="Learn a vocabulary of this many tokens; without it, GPT-2's.")
@_SET
def pretrain(data: tuple[str, ...], into: Path, model: str, bpe: int | None, settings: tuple[str, ...]) -> None:
    """Train a model from random weights on text files DATA."""
    tokenizer = {"tokenizer": {"bpe": bpe}} if bpe else {}
    _train("Pretrain", into, {"data": data, "model": _value(model), **tokenizer}, settings)


@gpt2.command()
@click.argument("data", type=click.Path())
@click.option("--from", "start", required=True, type=click.Path(), help="The checkpoint to start with.")
@_INTO
@click.option("--style", default="alpaca", show_default=True, help="How an instruction becomes a prompt.")
@_SET
def finetune(data: str, start: str, into: Path, style: str, settings: tuple[str, ...]) -> None:
    """Train a checkpoint further on instruction DATA."""
    _train("Finetune", into, {"data": data, "from": start, "style": style}, settings)


@gpt2.command()
@click.argument("checkpoint", type=click.Path())
@click.argument("prompt", required=False)
@click.option("--instruction", help="Instead of PROMPT: an instruction, rendered in --style.")
@click.option("--input", "context", default="", help="The instruction's input.")
@click.option("--style", default="alpaca", show_default=True)
@click.option("--max-new-tokens", default=128, show_default=True, type=click.IntRange(1))
@click.option("--temperature", default=0.0, show_default=True, type=click.FloatRange(0))
@click.option("--top-k", type=click.IntRange(1))
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True))
@click.option("--seed", default=0, show_default=True)
@click.option("--stop", multiple=True, help="End before this text; may be given again.")
def generate(
    checkpoint: str,
    prompt: str | None,
    instruction: str | None,
    context: str,
    style: str,
    **sampling: Any,
) -> None:
    """Continue PROMPT (or standard input), or answer an instruction."""
    import judgekit
    from judgekit_gpt2.backend import GPT2Backend, GPT2Options

    if instruction is not None and prompt is not None:
        raise click.UsageError("give PROMPT or --instruction, not both")
    if instruction is not None:
        sample = judgekit.Sample(id="1", instruction=instruction, input=context)
        prompt = judgekit.render_instruction(style, sample)
    text = sys.stdin.read() if prompt is None else prompt
    request = judgekit.Request(
        messages=(judgekit.Message(role="user", content=text),), sampling=judgekit.Sampling(**sampling)
    )
    reply = GPT2Backend(GPT2Options(checkpoint=checkpoint)).generate([request])[0]
    if reply.status != "complete" and not reply.text:
        raise judgekit.UsageError(reply.detail)
    click.echo(_printable(reply.text) if sys.stdout.isatty() else reply.text)
    if reply.detail:
        click.echo(reply.detail, err=True)


def _train(name: str, into: Path, options: dict[str, Any], settings: tuple[str, ...]) -> None:
    import judgekit
    from judgekit_gpt2 import trainers

    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator:
            raise click.UsageError(f"--set {setting}: write KEY=VALUE")
        options[key] = _value(text)
    factory = getattr(trainers, name)
    trainer = factory(judgekit.build_options(factory.Options, options, name.lower()))
    if into.exists() and any(into.iterdir()):
        raise judgekit.UsageError("is not empty; a checkpoint needs a folder of its own", path=into)
    into.mkdir(parents=True, exist_ok=True)
    trainer.train(into, _show)
    _clear()
    click.echo(into)


def _printable(text: str) -> str:
    """Without what could steer a terminal."""
    return "".join(letter for letter in text if letter.isprintable() or letter in "\n\t")


def _value(text: str) -> Any:
    """JSON where the text is JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _show(done: int, total: int, note: str) -> None:
    """Progress on stderr: one line that renews itself on a terminal, else a line for every tenth."""
    if sys.stderr.isatty():
        click.echo(f"\r\033[Kstep {done}/{total}  {note}", nl=False, err=True)
    elif done == total or done % max(1, total // 10) == 0:
        click.echo(f"step {done}/{total}  {note}", err=True)


def _clear() -> None:
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)
