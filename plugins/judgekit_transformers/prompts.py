"""Messages → the text and the tokens that a model reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from judgekit import CallError, Message, Reply, Request
from judgekit_transformers.loading import Loaded

T = TypeVar("T")
# Templates that print today's date get one and the same, that of the published ones without a clock: the same request,
# the same prompt.
_TODAY = (
    "{%- macro strftime_now(form) -%}"
    "{{ {'%Y-%m-%d': '2024-07-26', '%B %d, %Y': 'July 26, 2024'}.get(form, '26 Jul 2024') }}"
    "{%- endmacro -%}"
)
_FOLDED = "the model's chat template takes no system message: it leads the first user message"


class TooLong(CallError):
    """The model cannot read so many tokens. Asked again it could not either, so that it makes an answer to keep."""


@dataclass(frozen=True)
class PromptTokens:
    """The tokens of a prompt, and what is to be said of how they were made."""

    ids: list[int]
    notes: tuple[str, ...] = ()


def attempt(action: Callable[[], T]) -> T | Reply:
    """The action's result, or the reply that says why this one request has none."""
    try:
        return action()
    except TooLong as error:
        return Reply(status="truncated", detail=str(error))
    except CallError as error:
        return Reply(status="error", detail=str(error))


def prompt_of(loaded: Loaded, request: Request, chat: bool) -> PromptTokens:
    """The prompt's tokens, at least one. A chat template brings its own special tokens, plain text gets the model's.

    The text of a conversation is tokenised apart at the edges of its answers (`Message.cuts`), as training has it; an
    encoder reads it whole, in both.
    """
    text, notes = prompt_text(loaded.tokenizer, request.messages, chat)
    further = request.parts[1:] if loaded.kind == "causal" and not chat else ()
    first = text[: len(text) - sum(map(len, further))]
    ids: list[int] = list(loaded.tokenizer(first, add_special_tokens=not chat).input_ids)
    for part in further:
        ids += continuation_ids(loaded, part)
    start = loaded.tokenizer.bos_token_id
    if start is None:
        start = loaded.tokenizer.eos_token_id
    if not ids and start is None:
        raise CallError("an empty prompt, and the model has no token to begin with")
    return PromptTokens(known(loaded, ids or [start]), notes)


def prompt_text(tokenizer: Any, messages: Sequence[Message], chat: bool) -> tuple[str, tuple[str, ...]]:
    """The model's chat template up to where its answer begins, or the plain contents; and notes for the reply.

    Templates that refuse system messages, or leave them out, get them at the head of the first user message.
    """
    if not chat:
        return "\n\n".join(message.content for message in messages), ()
    turns = [{"role": message.role, "content": message.content} for message in messages]
    systems = [turn["content"] for turn in turns if turn["role"] == "system"]
    text = attempt(lambda: rendered(tokenizer, turns))
    if systems and (isinstance(text, Reply) or any(one.strip() not in text for one in systems)):
        return rendered(tokenizer, _folded(turns)), (_FOLDED,)
    if isinstance(text, Reply):
        raise CallError(text.detail)
    return text, ()


def rendered(tokenizer: Any, turns: list[dict[str, str]], *, asked: bool = True) -> str:
    """The chat template, filled; `asked`: up to where the model's answer begins. Raises CallError."""
    template: str | None = None  # the tokenizer's own
    if isinstance(tokenizer.chat_template, str) and "strftime_now" in tokenizer.chat_template:
        template = _TODAY + tokenizer.chat_template
    try:
        made = tokenizer.apply_chat_template(turns, chat_template=template, tokenize=False, add_generation_prompt=asked)
        return str(made)
    except Exception as error:  # templates are programs of the model's makers and raise what they like
        raise CallError(f"the model's chat template refuses these messages: {error}") from error


def _folded(turns: list[dict[str, str]]) -> list[dict[str, str]]:
    """The turns without system messages, whose contents lead the first user message."""
    head = [turn["content"] for turn in turns if turn["role"] == "system"]
    rest = [turn for turn in turns if turn["role"] != "system"]
    first = next((at for at, turn in enumerate(rest) if turn["role"] == "user"), None)
    if first is None:
        return [{"role": "user", "content": "\n\n".join(head)}, *rest]
    merged = {"role": "user", "content": "\n\n".join([*head, rest[first]["content"]])}
    return [*rest[:first], merged, *rest[first + 1 :]]


def continuation_ids(loaded: Loaded, text: str) -> list[int]:
    """The tokens of a text that goes on from a prompt, without special tokens: the same after every prompt.

    Prompt and continuation are tokenised apart, so that the boundary is where the request puts it. Tokenizers that
    mark the beginning of a text as if a space stood there (those of Llama 2 or Gemma) are given a line before it, or
    "A" would become " A". An encoder-decoder's answer is a text of its own.
    """
    line = line_before(loaded, text) if loaded.kind == "causal" else 0
    ids: list[int] = loaded.tokenizer("\n" + text if line else text, add_special_tokens=False).input_ids
    return known(loaded, ids[line:])


def line_before(loaded: Loaded, text: str) -> int:
    """How many tokens the line takes that must stand before a text which goes on from another; mostly 0, for none."""
    line, letter, both, after = (
        loaded.tokenizer(one, add_special_tokens=False).input_ids for one in ("\n", "a", "\na", "\n" + text)
    )
    if text and line and both != line + letter and both[: len(line)] == line and after[: len(line)] == line:
        return len(line)
    return 0


def known(loaded: Loaded, ids: list[int]) -> list[int]:
    """The same tokens, if the model knows each of them; added tokens may lie outside of what it was trained with."""
    strange = next((token for token in ids if token >= loaded.rows), None)
    if strange is not None:
        name = loaded.tokenizer.convert_ids_to_tokens(strange)
        raise CallError(f"the tokenizer's {name!r} is token {strange}, and the model knows {loaded.rows} tokens")
    return ids


def limit_of(loaded: Loaded, max_length: int | None) -> int | None:
    """The most tokens that are read; None where nothing says."""
    return loaded.window if max_length is None else max_length


def too_long(tokens: str, limit: int) -> TooLong:
    return TooLong(f"{tokens}, and the model reads {limit}")
