"""`judgekit gpt2 …`: the trainers and the backend from the command line."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import click

from judgekit_gpt2.config import PRESETS

_INTO = click.option("--into", type=click.Path(path_type=Path), required=True, help="Folder for the checkpoint.")
_FROM = click.option("--from", "start", required=True, type=click.Path(), help="The checkpoint to start with.")
_STYLE = click.option("--style", help="How an instruction becomes a prompt; alpaca, if nothing else says.")
_LORA = click.option(
    "--lora", "rank", type=click.IntRange(1), help="Train only adapters of this rank, then merge them."
)
_SET = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any option of the trainer, as JSON or text; --options lists them.",
)


def _options(trainer: str) -> Callable[[Any], Any]:
    """The flag that lists a trainer's options with their defaults, and what they mean."""

    def show(context: click.Context, option: click.Parameter, wanted: bool) -> None:
        if not wanted:
            return
        from judgekit import Options
        from judgekit_gpt2 import trainers

        factory = getattr(trainers, trainer).Options
        kinds = [kind for kind in reversed(factory.__mro__) if "judgekit_gpt2" in kind.__module__]
        click.echo("\n\n".join(inspect.getdoc(kind) or "" for kind in kinds) + "\n")
        for name, field in factory.model_fields.items():
            default = "required" if field.is_required() else json.dumps(field.default, default=Options.model_dump)
            click.echo(f"  {field.alias or name:18} {default}")
        context.exit()

    return click.option(
        "--options",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=show,
        help="List every option of the trainer.",
    )


def _size(context: click.Context, option: click.Parameter, text: str | None) -> int | None:
    """Bytes from a size as the hub's tools read it: 2GB is 2 · 10⁹, 2GiB is 2 · 2³⁰."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?) ?(?:([kmgt])(i?))?b?", text.strip().lower())
    bytes_ = 0
    if match:
        base = 1024 if match[3] else 1000
        bytes_ = int(float(match[1]) * base ** ("kmgt".index(match[2]) + 1 if match[2] else 0))
    if bytes_ < 1:
        raise click.BadParameter(f"{text!r} is no size like 500MB or 2GB")
    return bytes_


@click.group()
def gpt2() -> None:
    """Train a GPT-2 from scratch, fine-tune it, and let it write."""


@gpt2.command()
@click.argument("data", nargs=-1, required=True, type=click.Path())
@_INTO
@click.option(
    "--model", default="gpt2", show_default=True, help="gpt2, gpt2-medium, gpt2-large, gpt2-xl, or sizes as JSON."
)
@click.option("--bpe", type=click.IntRange(257), help="Learn a vocabulary of this many tokens; without it, GPT-2's.")
@_SET
@_options("Pretrain")
def pretrain(data: tuple[str, ...], into: Path, model: str, bpe: int | None, settings: tuple[str, ...]) -> None:
    """Train a model from random weights on text files DATA."""
    tokenizer = {} if bpe is None else {"tokenizer": {"bpe": bpe}}
    _train("Pretrain", into, {"data": data, "model": _value(model), **tokenizer}, settings)


@gpt2.command()
@click.argument("data", type=click.Path())
@_FROM
@_INTO
@_STYLE
@click.option("--preset", type=click.Choice(["book"]), help="book: the recipe of LLMs from Scratch, chapter 7.")
@_LORA
@_SET
@_options("Finetune")
def finetune(data: str, start: str, into: Path, preset: str | None, settings: tuple[str, ...], **given: Any) -> None:
    """Train a checkpoint further on instruction DATA: Alpaca, Dolly, ShareGPT or OpenAI messages, JSON or JSONL."""
    _train("Finetune", into, {"data": data, "from": start, "preset": preset, **_tuning(**given)}, settings)


@gpt2.command()
@click.argument("data", type=click.Path())
@_FROM
@_INTO
@_STYLE
@click.option("--beta", type=click.FloatRange(0, min_open=True), help="How dear it is to leave the reference.")
@_LORA
@_SET
@_options("DPO")
def dpo(data: str, start: str, into: Path, beta: float | None, settings: tuple[str, ...], **given: Any) -> None:
    """Train a checkpoint further to prefer the 'chosen' responses of DATA over the 'rejected' ones."""
    options = {"data": data, "from": start, **_tuning(**given)}
    _train("DPO", into, options | ({} if beta is None else {"beta": beta}), settings)


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
@click.option("--device", default="cpu", show_default=True)
@click.option("--dtype", default="float32", show_default=True, type=click.Choice(["float32", "bfloat16"]))
@click.option("--quantise", type=click.Choice(["int8"]), help="Keep the matrices rounded, in a quarter of the memory.")
def generate(
    checkpoint: str,
    prompt: str | None,
    instruction: str | None,
    context: str,
    style: str,
    device: str,
    dtype: Literal["float32", "bfloat16"],
    quantise: Literal["int8"] | None,
    **sampling: Any,
) -> None:
    """Continue PROMPT (or standard input), or answer an instruction."""
    import judgekit
    from judgekit_gpt2.backend import GPT2Backend, GPT2Options

    if instruction is not None and prompt is not None:
        raise click.UsageError("give PROMPT or --instruction, not both")
    if instruction is not None:
        sample = judgekit.Sample(id="1", instruction=instruction, input=context)
        prompt = judgekit.data.render_prompt(style, sample)
        if end := judgekit.data.style_named(style).end.strip():
            sampling["stop"] = (*sampling["stop"], end)
    text = sys.stdin.read() if prompt is None else prompt
    request = judgekit.Request(
        messages=(judgekit.Message(role="user", content=text),), sampling=judgekit.Sampling(**sampling)
    )
    options = GPT2Options(checkpoint=checkpoint, device=device, dtype=dtype, quantise=quantise)
    reply = GPT2Backend(options).generate([request])[0]
    if reply.status != "complete" and not reply.text:
        raise judgekit.UsageError(reply.detail)
    plain = (letter for letter in reply.text if letter.isprintable() or letter in "\n\t")  # what steers no terminal
    click.echo("".join(plain) if sys.stdout.isatty() else reply.text)
    if reply.detail:
        click.echo(reply.detail, err=True)


@gpt2.command()
@click.argument("source", type=click.Path(path_type=Path))
@_INTO
@click.option("--heads", type=click.IntRange(1), help="Attention heads, where a file's width does not tell them.")
@click.option(
    "--vocabulary", type=click.Path(path_type=Path), help="Folder of a file's merges.txt; without it, GPT-2's."
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "float16"]),
    default="float32",
    show_default=True,
    help="How the weights are stored.",
)
@click.option(
    "--max-shard",
    "max_shard_bytes",
    metavar="SIZE",
    callback=_size,
    help="Split the weights into files of at most 2GB, say.",
)
def convert(source: Path, into: Path, dtype: str, **given: Any) -> None:
    """Make a checkpoint of SOURCE: a folder of the hub, a file of its weights, nanoGPT's ckpt.pt, or one of the book's.

    Where --into ends in .pth, make a file as the book's."""
    from judgekit_gpt2 import checkpoint

    checkpoint.require_torch()
    import torch

    from judgekit_gpt2 import conversion

    config = conversion.convert(source, into, dtype=getattr(torch, dtype), **given)
    click.echo(
        f"{config.layers} layers, {config.heads} heads, width {config.width}, context {config.context}: "
        f"{config.parameters:,} weights",
        err=True,
    )
    click.echo(into)


@gpt2.command()
@click.argument("name", type=click.Choice(list(PRESETS)))
@click.option("--into", type=click.Path(path_type=Path), help="Folder for the checkpoint.  [default: checkpoints/NAME]")
@click.option(
    "--mirror",
    metavar="URL",
    envvar="HF_ENDPOINT",
    default="https://huggingface.co",
    show_default=True,
    show_envvar=True,
    help="The hub, or a server that has its files.",
)
def fetch(name: str, into: Path | None, mirror: str) -> None:
    """Download the published model NAME; each file is checked by its sha256."""
    import judgekit
    from judgekit_gpt2 import fetch as fetching

    folder = into or Path("checkpoints") / name
    with judgekit.download_progress() as progress:
        fetching.fetch(name, folder, mirror, progress)
    click.echo(folder)


def _tuning(style: str | None, rank: int | None) -> dict[str, Any]:
    """The options that were given; the others are left to the trainer and its presets."""
    return ({"style": style} if style else {}) | ({"lora": {"rank": rank}} if rank else {})


def _train(name: str, into: Path, options: dict[str, Any], settings: tuple[str, ...]) -> None:
    """Train, or go on with what a killed training of the same command left in the folder."""
    import judgekit
    from judgekit_gpt2 import checkpoint, trainers

    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator:
            raise click.UsageError(f"--set {setting}: write KEY=VALUE")
        value = _value(text)
        both = isinstance(value, dict) and isinstance(options.get(key), dict)
        options[key] = options[key] | value if both else value
    factory = getattr(trainers, name)
    trainer = factory(judgekit.build_options(factory.Options, options, name.lower()))
    leads = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started
    trainer.check()
    if _finished(trainer, into, leads):
        click.echo("already there: this training is done, from the same data and by the same options", err=True)
        click.echo(into)
        return
    checkpoint.make_folder(into)
    if leads:
        judgekit.write_atomically(into / _TRAINING, _fingerprint(trainer))
    with _stoppable() as stopped:

        def progress(done: int, total: int, note: str) -> None:
            if leads:
                _show(done, total, note)
            if stopped.is_set():
                raise judgekit.Interrupted(f"stopped after step {done}; the same command goes on from there")

        trainer.train(into, progress)
    if leads:
        if sys.stderr.isatty():
            click.echo("\r\033[K", nl=False, err=True)
        for note in trainer.notes:
            click.echo(f"note: {note}", err=True)
        click.echo(into)


_TRAINING = "made_from.json"  # beside a checkpoint that a command made: of which training it is


def _finished(trainer: Any, into: Path, leads: bool) -> bool:
    """Whether the folder holds what this training makes, whole. Raises UsageError where it holds something else."""
    import judgekit
    from judgekit_gpt2 import checkpoint

    # What a kill left while the file that says what it is of was written is nobody's, and is swept away later.
    there = {path.name for path in into.iterdir()} if into.is_dir() else set()
    there = {name for name in there if not name.startswith(f".{_TRAINING}.")}
    if not there or judgekit.data.TrainingState.FOLDER in there:
        return False  # it is to begin, or to go on
    kept = into / _TRAINING
    same = kept.is_file() and kept.read_bytes() == _fingerprint(trainer)
    done = same and (into / checkpoint.SAFETENSORS).is_file()
    if not leads or done:
        return done
    if same and there == {_TRAINING}:
        return False  # killed before its first step
    what = "holds another training (of other data, options or version)" if kept.is_file() else "is not empty"
    raise judgekit.UsageError(f"{what}; a checkpoint needs a folder of its own", path=into)


def _fingerprint(trainer: Any) -> bytes:
    """All that decides what a training makes: its kind and version, its options, and the content of its files."""
    files = []
    for path in trainer.inputs():
        with path.open("rb") as file:
            files.append(hashlib.file_digest(file, "sha256").hexdigest())
    content = {
        "trainer": type(trainer).__name__.lower(),
        "version": trainer.version,
        "options": trainer.options.model_dump(mode="json", by_alias=True),
        "inputs": files,
    }
    return json.dumps(content, indent=1, sort_keys=True).encode("ascii") + b"\n"


@contextmanager
def _stoppable() -> Iterator[threading.Event]:
    """The first Ctrl-C, SIGTERM or SIGHUP asks for an end after the step that is under way; the second ends at once."""
    stopped = threading.Event()

    def ask(*_: object) -> None:
        stopped.set()
        for one in before:
            signal.signal(one, signal.default_int_handler)

    there = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {one: signal.getsignal(one) for one in there if signal.getsignal(one) is not signal.SIG_IGN}
    for one in before:
        signal.signal(one, ask)
    try:
        yield stopped
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


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
