"""Signs that a prompt was cut, from the number of tokens that the server read. Pure.

judgekit asks for `truncate: false`, and Ollama from 0.12.4 on refuses a prompt that is too long. Older servers, and
gateways that drop the field, cut it under status 200: the oldest turns go first, then the beginning of the last one
after its first few tokens. No tokenizer is at hand, so the number that the whole prompt would have is not known
either. These signs need none, and a whole prompt does not show them:

* It fills the context. Ollama before 0.30 cuts a message to exactly num_ctx tokens. A whole prompt of that length
  leaves no room for a reply.
* Fewer tokens than words. Tokenizers split at whitespace before anything else, so each word is at least one token
  (the exception are vocabularies with tokens of several words, SuperBPE, which Ollama's library does not carry).
* It is as long as Ollama from 0.30 on cuts: num_ctx − ⌊(num_ctx − keep) / 2⌋, with keep = num_keep, or one more where
  the tokenizer begins with a token of its own (`contextShiftPromptLimit`). A whole prompt can be so long by chance;
  it is believed unless its text has more than 7 bytes a token. (GPT-2's tokens, on 14,266 real texts of 16 tokens or
  more: 4.4 bytes in the median, 5.8 at the 99th percentile, 6.4 at most. A cut to the half doubles these figures.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from judgekit import Message, counted

NUM_KEEP = 4  # Ollama's default
_MOST_BYTES = 7  # a token, with runs of one character shortened
_RUN = re.compile(r"(\S)\1{3,}")
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)


def fills(read: int, context: int) -> str:
    """The reason why a prompt of `read` tokens cannot be whole in a context of so many; "" if it may be."""
    if read < context - 1:
        return ""
    return f"the prompt fills the whole context of {context} tokens, so it was cut: raise num_ctx"


def falls_short(read: int, messages: Iterable[Message], context: int, num_keep: int = NUM_KEEP) -> str:
    """The reason why `read` tokens are too few for these messages; "" if they may be enough.

    Holds only for a count that includes what the server had in its cache (`versions.counts_cached`).
    """
    text = " ".join(_shown(message) for message in messages)
    words = text.split()
    if read < len(words):
        prompt = f"a prompt of {counted(len(words), 'word')}"
        return f"the server read {counted(read, 'token')} of {prompt}, so it was cut: raise num_ctx"
    size = len(_RUN.sub(r"\1\1\1", " ".join(words)).encode("utf-8", "surrogatepass"))
    if read in half_cuts(context, num_keep) and size > _MOST_BYTES * read:
        return (
            f"the server read {read} tokens of a prompt of {size} bytes, which is where Ollama cuts a prompt"
            f" that does not fit into {context} tokens: raise num_ctx"
        )
    return ""


def half_cuts(context: int, num_keep: int = NUM_KEEP) -> set[int]:
    """The lengths to which Ollama from 0.30 on cuts a prompt that does not fit."""
    kept = [min(max(num_keep, 0) + extra, context - 1) for extra in (0, 1)]
    return {context - max((context - keep) // 2, 1) for keep in kept}


def _shown(message: Message) -> str:
    """The part of a message that a chat template shows: many leave out the reasoning of earlier turns."""
    return _THOUGHTS.sub(" ", message.content) if message.role == "assistant" else message.content
