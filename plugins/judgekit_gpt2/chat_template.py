"""The style of a tuning as the chat template that `transformers` reads beside a checkpoint. No torch here."""

from __future__ import annotations

import json
import re
import tempfile
from importlib.resources import files
from pathlib import Path

import judgekit
import judgekit.data

FILE = "chat_template.jinja"
_COMMENT = re.compile(r"\{#.*?#\}\s*", re.DOTALL)
_PROBE = judgekit.Sample(
    id="1", system="Sys.", instruction="Q1?", reference="A1.", turns=("Q2?",), turn_references=("A2.",)
)
_MESSAGES = """\
{{%- set own = namespace(system='', first=true) -%}}
{{%- for message in messages -%}}
{{%- if message['role'] == 'system' -%}}
{{%- set own.system = message['content'] -%}}
{{%- elif message['role'] == 'user' -%}}
{{%- set first, instruction, input, choices, category, metadata = own.first, message['content'], '', [], '', {{}} -%}}
{{%- set system = own.system if first else '' -%}}
{{{{- '' if first else {between} -}}}}
{head}{turn}{{%+ set own.first = false -%}}
{{%- else -%}}
{{{{- {lead} + message['content'] + {end} -}}}}
{{%- endif -%}}
{{%- endfor -%}}
"""
_HEAD = "{{- system + '\\n\\n' if system else '' -}}\n"  # where a style has no place for a system message


def save(folder: Path, style: str, where: Path) -> bool:
    """Write the style's chat template into a checkpoint's folder, if it can be put as one: whether it writes what the
    style does is tried. Raises StorageError."""
    try:
        source = _source(style, where)
        if source is None or not _is_alike(source, style, where):
            return False
    except judgekit.UsageError:  # it needs more than messages have
        return False
    judgekit.write_atomically(folder / FILE, source.encode())
    return True


def _source(style: str, where: Path) -> str | None:
    own = judgekit.data.style_files(style, where)
    if style.startswith("chat_template:"):
        return own[0].read_text("utf-8") if own[0].suffix == ".jinja" else None
    place = own[0] if own else files("judgekit.prompts").joinpath("instruct", f"{style}.j2")
    if not place.is_file():
        return None
    turn = _COMMENT.sub("", place.read_text("utf-8")).removesuffix("\n")
    # What transformers trims around a block, a style keeps.
    turn = re.sub(r"\{%(?![-+])", "{%+", re.sub(r"(?<![-+])%\}", "+%}", turn))
    named = judgekit.data.style_named(style, judgekit.data.Prompts(where=where))
    second = named.spans(_PROBE, ["A1."])[2]
    between = second.text.removesuffix(named.turn(_PROBE.model_copy(update={"instruction": "Q2?"}), first=False))
    has_system = re.search(r"\bsystem\b", turn)
    return _MESSAGES.format(
        between=json.dumps(between),
        lead=json.dumps(named.lead),
        end=json.dumps(named.end),
        head="" if has_system else _HEAD,
        turn=turn,
    )


def _is_alike(source: str, style: str, where: Path) -> bool:
    """Whether the template writes conversations as the style does."""
    prompts = judgekit.data.Prompts(where=where)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / FILE).write_text(source, "utf-8")
        tokens = json.dumps(dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>"))
        (Path(folder) / "tokenizer_config.json").write_text(tokens, "utf-8")
        for update in ({}, {"system": ""}, {"system": "", "turns": (), "turn_references": ()}):
            sample = _PROBE.model_copy(update=update)
            shown = [
                "".join(span.text for span in judgekit.data.render_training(name, sample, prompts))
                for name in (style, f"chat_template:{folder}")
            ]
            if shown[0].rstrip() != shown[1].rstrip():
                return False
    return True
