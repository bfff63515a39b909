"""`judgekit init`: a starter config and a few samples."""

from __future__ import annotations

import json
from pathlib import Path

import click

from judgekit.cli.schema import build_schema
from judgekit.errors import UsageError
from judgekit.text import install_hint

SAMPLES = [
    {"instruction": "Name the capital of Portugal.", "output": "The capital of Portugal is Lisbon."},
    {
        "instruction": "Rewrite in the passive voice.",
        "input": "The cook baked the bread.",
        "output": "The bread was baked by the cook.",
    },
    {"instruction": "Give the opposite of 'shallow'.", "output": "The opposite of shallow is deep."},
    {"instruction": "Correct the spelling.", "input": "We recieved your letter.", "output": "We received your letter."},
    {"instruction": "How many minutes are in three hours?", "output": "Three hours have 180 minutes."},
]
TRAINING = [
    {"instruction": "Name the capital of Norway.", "output": "The capital of Norway is Oslo."},
    {
        "instruction": "Rewrite in the passive voice.",
        "input": "The dog chased the ball.",
        "output": "The ball was chased by the dog.",
    },
    {"instruction": "Give the opposite of 'early'.", "output": "The opposite of early is late."},
    {"instruction": "Correct the spelling.", "input": "It was definately late.", "output": "It was definitely late."},
]
QUESTIONS = [
    ["Which of these is a prime number?", "9", "15", "17", "21", "C"],
    ["Which season follows summer in the northern hemisphere?", "spring", "autumn", "winter", "the rainy season", "B"],
    ["Which gas do plants take up for photosynthesis?", "carbon dioxide", "helium", "neon", "argon", "A"],
]
JUDGE = """\
judges:
  main: {backend: ollama, model: llama3, temperature: 0, seed: 123, num_ctx: 4096}
  # main: {backend: openai, model: gpt-4o-mini, temperature: 0}      # key in OPENAI_API_KEY
  # main: {backend: transformers, model: smollm2}                    # offline; see its install lines in the README
"""
TEMPLATES = {
    "score": """\
name: my-scores
data: {loader: instructions, path: data/samples.json}
models:
  mine: {backend: ollama, model: llama3.2, max_new_tokens: 128}
"""
    + JUDGE
    + """\
metrics:
  quality: {type: score, judge: main}
  exact: {type: exact_match}
""",
    "pairwise": """\
name: my-duel
data: {loader: instructions, path: data/samples.json}
models:
  new: {backend: ollama, model: llama3.2, max_new_tokens: 128}
  old: {backend: ollama, model: llama3.2:1b, max_new_tokens: 128}
against: old
"""
    + JUDGE
    + """\
metrics:
  winrate: {type: pairwise, judge: main, against: old}
""",
    "mmlu": """\
name: my-exam
data: {loader: mmlu, path: data/mmlu, shots: 0}
models:
  mine: {backend: transformers, model: smollm2}      # any folder in the hub's layout; """
    + install_hint("hf")
    + """
metrics:
  exam: {type: multiple_choice}
""",
    "finetune": """\
name: my-finetune
data: {loader: instructions, path: data/samples.json}
# A checkpoint to start from: any causal or encoder-decoder model folder in the hub's layout (config.json,
# model.safetensors, tokenizer.json). The same model answers before and after, and the report says what tuning bought.
train:
  tuned: {trainer: transformers-sft, from: checkpoints/model, data: data/train.json, validation: null, epochs: 2,
          style: alpaca, chat: false}     # chat: auto puts the prompt into the model's own chat template
models:
  base:  {backend: transformers, model: checkpoints/model, style: alpaca, chat: false, max_new_tokens: 64}
  tuned: {backend: transformers, model: train:tuned, style: alpaca, chat: false, max_new_tokens: 64}
# The same with a GPT-2 from scratch (judgekit gpt2 fetch, or gpt2 pretrain TEXT.txt --into checkpoints/gpt2):
#   tuned: {trainer: gpt2-finetune, from: checkpoints/gpt2, data: data/train.json, validation: null, epochs: 2}
#   base:  {backend: gpt2, checkpoint: checkpoints/gpt2, style: alpaca, max_new_tokens: 64}
#   tuned: {backend: gpt2, checkpoint: train:tuned, style: alpaca, max_new_tokens: 64}
against: base
"""
    + JUDGE
    + """\
metrics:
  quality: {type: score, judge: main}
""",
}


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option(
    "--template", type=click.Choice(sorted(TEMPLATES)), default="score", show_default=True, help="What to start with."
)
def command(folder: Path, template: str) -> None:
    """Write judgekit.yaml, its schema and a few samples into FOLDER. Nothing that exists is overwritten."""
    schema = json.dumps(build_schema(), indent=2, sort_keys=True) + "\n"
    head = "# yaml-language-server: $schema=./judgekit.schema.json\n"
    files = {"judgekit.yaml": head + TEMPLATES[template], "judgekit.schema.json": schema}
    if template == "mmlu":
        rows = [",".join(f'"{cell}"' for cell in row) for row in QUESTIONS]
        files["data/mmlu/test/starter_test.csv"] = "\n".join(rows) + "\n"
    else:
        files["data/samples.json"] = json.dumps(SAMPLES, indent=2) + "\n"
    if template == "finetune":
        items = [item | {"split": "train"} for item in TRAINING]
        files["data/train.json"] = json.dumps(items, indent=2) + "\n"
    for name in files:
        if (folder / name).exists():
            raise UsageError("is already there; nothing was written", path=folder / name)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
        click.echo(f"wrote {folder / name}")
    where = "" if folder == Path() else f" in {folder}"
    click.echo(f"next: name your model and judge in judgekit.yaml, then `judgekit validate` and `judgekit run`{where}")
