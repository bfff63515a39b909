"""Servers' own words for how a reply ended and for what is wrong with a call. Data: a row has a test of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator

End = Literal["stop", "length", "content_filter", "tool_calls", "error"]
"""How a reply ended, in OpenAI's words; `error`: broken off by the server."""

ENDS: dict[End, str] = {
    "stop": """
        stop eos eos_token eos_found end_turn end_of_turn end_of_sequence end_of_text endoftext end stop_sequence
        stop_token stop_string stop_str stop_word complete completed finish finished done eot eot_id im_end success
    """,
    "length": """
        length max_tokens max_token max_length max_new_tokens max_output_tokens max_completion_tokens model_length
        context_length max_context_length token_limit output_limit error_limit user_limit limit truncated incomplete
        model_context_window_exceeded context_window_exceeded max_tokens_reached length_capped
    """,
    "content_filter": """
        content_filter content_filtered contentfilter content_filter_error content_policy content_policy_violation
        refusal refused safety recitation blocklist blocked prohibited_content spii image_safety sensitive
        error_toxic guardrail_intervened guardrails guardrail moderation moderated policy_violation flagged
        content_blocked language
    """,
    "tool_calls": "tool_calls tool_call tool_use function_call function_calls tool pause_turn requires_action",
    "error": """
        error errored abort aborted cancel canceled cancelled network_error server_error internal_error failed failure
        insufficient_system_resource timeout load unload malformed_function_call unexpected_tool_call malformed_response
        model_error overloaded
    """,
}
_BY_WORD: dict[str, End] = {word: end for end, words in ENDS.items() for word in words.split()}
_PREFIX = re.compile(r"^(?:finish_?reason|stop_?reason|done_?reason)[_.:]+")


def plain(reason: str) -> str:
    """A reason as the table writes it: FinishReason.MAX_TOKENS is max_tokens, `<|eot_id|>` is eot_id."""
    word = re.sub(r"[\s-]+", "_", reason.strip().strip("<|>/").strip().lower())
    return _PREFIX.sub("", word)


def _no_end(names: Mapping[str, End]) -> Mapping[str, End]:
    if empty := [name for name in names if not plain(name)]:
        raise ValueError(f"{empty[0]!r} is no reason: beside whole content, none at all is `stop` already")
    return names


FinishReasons = Annotated[dict[str, End], AfterValidator(_no_end)]
"""An option of a backend: further reasons, each with what it means."""


def end_of(reason: object, more: Mapping[str, End]) -> End | None:
    """What the reason means, by `more` first; None where it is unknown, or none."""
    word = plain(reason) if isinstance(reason, str) else ""
    own = {plain(name): end for name, end in more.items()}
    return own.get(word) or _BY_WORD.get(word)


# --- errors -----------------------------------------------------------------------------------------------------------

Fault = Literal["policy", "context", "output", "json", "busy"]
"""What an error is about: the content of a prompt, its length, the reply's length, JSON that the server made badly, or
a server with too much to do."""

CODES: dict[Fault, str] = {
    "policy": """
        content_filter content_policy_violation ContentPolicyViolationError invalid_prompt data_inspection_failed
        DataInspectionFailed ResponsibleAIPolicyViolation content_moderation_failed moderation_blocked
        policy_violation content_blocked sensitive_words_detected content_safety_violation prohibited_content
        SensitiveContentDetected InputTextSensitiveContentDetected OutputTextSensitiveContentDetected 1301
    """,
    "context": """
        context_length_exceeded exceed_context_size_error string_above_max_length ContextWindowExceededError
        context_window_exceeded prompt_too_long tokens_limit_reached model_context_window_exceeded
    """,
    "output": "max_tokens_reached output_limit_reached max_output_tokens_reached",
    "json": "json_validate_failed json_generation_failed",
    "busy": "overloaded_error engine_overloaded model_overloaded server_overloaded overloaded RESOURCE_EXHAUSTED",
}
"""Of the fields `code`, `type`, `status` and their like, whatever their case."""

_LIMIT = r"(?:context|token|input|length|max\w*) (?:size|length|window|limit)"
_STOPPED = r"(?:flagged|blocked|rejected|filtered|moderated)"
PHRASES: tuple[tuple[Fault, str], ...] = (  # the first that is found decides
    ("json", r"failed to (?:generate|validate) (?:valid )?json"),
    ("json", r"(?:generated|produced|output) (?:text |content )?(?:is |was )?(?:not valid|invalid) json"),
    ("json", r"model (?:did not|failed to|could not) (?:generate|produce|return) (?:a )?(?:valid )?json"),
    ("output", r"output (?:token )?limit (?:was|has been|is) (?:reached|exceeded)"),
    ("output", r"could not finish the message because"),
    ("output", r"max(?:imum)?[ _](?:output|completion|new)?[ _]?tokens? (?:limit )?(?:was|has been|is)? ?reached"),
    ("context", r"context[ _](?:size|length|window)"),
    ("context", r"(?:prompt|input|messages?|conversation|text|request) (?:is |are |was )?too (?:long|large)"),
    ("context", r"longer than the (?:maximum )?(?:model|context|input|allowed)"),
    ("context", r"(?:maximum|max) model length|max_model_len|max_seq_len|max_position_embeddings"),
    ("context", r"range of input length should be"),
    ("context", r"`inputs` (?:tokens \+ `max_new_tokens` )?must (?:be <=|have less than)"),
    ("context", r"exceed\w* the (?:model'?s )?maximum (?:number of |input |prompt )*tokens?"),
    ("context", rf"(?:prompt|input|messages|tokens?)\b.{{0,80}}\bexceed\w*\b.{{0,60}}\b{_LIMIT}"),
    ("context", r"(?:input|prompt) tokens? (?:count )?.{0,40}exceed"),
    ("context", r"too many (?:input |prompt )tokens|reduce the length of (?:the|your) (?:messages|prompt|input)"),
    ("context", r"number of (?:input |prompt )tokens .{0,40}(?:exceed|larger|greater)"),
    ("policy", r"content exists? risk"),
    ("policy", r"content[ _-](?:management )?(?:policy|policies|guidelines)|contentpolicyviolation"),
    ("policy", r"violat\w+ .{0,60}(?:guidelines?|polic(?:y|ies)|terms of (?:use|service))"),
    ("policy", r"(?:usage|safety|community) (?:guidelines|policies|policy)|safety[ _](?:system|filter|check)"),
    ("policy", r"inappropriate (?:content|text|material)"),
    ("policy", r"(?:unsafe|harmful|sensitive) (?:or \w+ )?(?:content|words|information)"),
    ("policy", rf"{_STOPPED} (?:as|by|for|due to|because) .{{0,60}}(?:content|moderat|safety|polic|violen|sex|harm)"),
    ("policy", r"responsible ?ai|prohibited content|content (?:moderation|filter|inspection|safety)|guardrails?\b"),
    ("policy", rf"(?:prompt|input|content|message) (?:was|has been|is) {_STOPPED}"),
    ("policy", r"敏感|违规|不安全|不合规"),
    ("busy", r"overloaded|over capacity|at capacity|capacity exceeded"),
    ("busy", r"(?:server|model|engine|service) (?:is )?(?:too |currently |very )*busy"),
    ("busy", r"(?:try again|retry) (?:later|in (?:a|\d)|shortly)|temporarily unavailable|resource.?exhausted"),
    ("busy", r"rate.?limit|too many requests|no (?:available|healthy) (?:server|upstream|instance|backend|provider)"),
)  # fmt: skip
"""Of the whole text, whatever its case; for servers that give no code of their own."""

_FAULTS: dict[str, Fault] = {code.lower(): fault for fault, codes in CODES.items() for code in codes.split()}
_PHRASES = [(fault, re.compile(pattern, re.IGNORECASE)) for fault, pattern in PHRASES]
_IN_TEXT = re.compile(
    r"(?<![\w-])(?:" + "|".join(code for code in _FAULTS if not code.isdigit()) + r")(?![\w-])", re.IGNORECASE
)


def fault_by_code(codes: set[str]) -> Fault | None:
    """By the codes of an error; of several, in the table's order."""
    found = {_FAULTS[code.lower()] for code in codes if code.lower() in _FAULTS}
    return next((fault for fault in CODES if fault in found), None)


def fault_by_name(text: str) -> Fault | None:
    """By a code that stands in the text, as in a gateway's report of its provider's error."""
    named = _IN_TEXT.search(text)
    return _FAULTS[named[0].lower()] if named else None


def fault_by_words(text: str) -> Fault | None:
    return next((fault for fault, pattern in _PHRASES if pattern.search(text)), None)
