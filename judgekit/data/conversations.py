"""Conversations of several turns, in the three shapes that files use.

ShareGPT   {"conversations": [{"from": "human", "value": "…"}, {"from": "gpt", "value": "…"}, …]}
OpenAI     {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}, …]}
MT-Bench   {"turns": ["…", "…"], "reference": ["…", "…"]}

User and assistant take turns, the user first, after at most one system message, which may also stand beside them as
"system". The user's turns make the sample, the assistant's are their references. The last turn of the user may be
without one. An "input" beside them that the first turn ends with, after a blank line, is the input of its instruction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from judgekit.data.items import Said
from judgekit.data.json_files import Entry
from judgekit.data.mapping import MESSAGE_LISTS
from judgekit.records import Message, Role, Sample
from judgekit.text import counted, did_you_mean

ROLES: dict[str, Role] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bard": "assistant",
    "bing": "assistant",
    "model": "assistant",
    "system": "system",
    "developer": "system",
}
SPEAKER, SAID = ("from", "role"), ("value", "content")  # of a message, by ShareGPT's names and by OpenAI's
SHARE_GPT_ROLES: dict[Role, str] = {"user": "human", "assistant": "gpt", "system": "system"}
_PLAIN = {*SHARE_GPT_ROLES, *SHARE_GPT_ROLES.values()}  # roles under their plain names
# Of tools: roles that call, keys of a call, roles that bring a result, and fields that list what can be called.
CALLED, CALLS = ("function_call", "tool_call"), ("tool_calls", "function_call")
RESULTS = ("tool", "function", "observation", "ipython", "tool_response", "tool_result")
TOOLS = ("tools", "functions")
_NO_TOOLS = "these can be learnt in a style that writes them (chatml), and not be tested: no tool is called here"
# As the chat templates of Hermes and Qwen have it.
_TOOLS_SAID = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""
_AFTER_A_LINE = "\n\n"  # between an instruction and its input, as the style `plain` has it


def said_in_messages(entry: Entry, keys: Sequence[str]) -> Said:
    """The content of an object of messages; `keys` are the names that their list may have."""
    key = next(key for key in keys if key in entry.fields)
    messages: list[Message] = []
    marks: list[dict[str, Any]] = []
    lost: list[str] = []
    for number, one in enumerate(_list(entry, key), start=1):
        where = f"message {number}"
        if not isinstance(one, dict):
            raise entry.error(f"should be an object, not {type(one).__name__}", where)
        speaker, said = _keys(one, key)
        if any(one.get(name) for name in CALLS) or str(one.get(speaker)).strip().lower() in {*CALLED, *RESULTS}:
            raise entry.error(f"a call of a tool, or its result (role {one.get(speaker)!r}); {_NO_TOOLS}", where)
        message = _message(entry, where, one, speaker, said)
        _check_order(entry, where, messages, message)
        messages.append(message)
        marks.append({name: value for name, value in one.items() if name not in (speaker, said)})
        lost += [speaker] if one[speaker] not in _PLAIN else []
        lost += [f"parts of {said!r}"] if isinstance(one[said], list) else []
    system, beside = messages[0].content if messages[0].role == "system" else "", entry.text("system")
    if beside and not system:
        marks.insert(0, {})  # it is written as a message
    users = [message.content for message in messages if message.role == "user"]
    answers = [message.content for message in messages if message.role == "assistant"]
    if not users:
        raise entry.error("the user says nothing")
    given = entry.fields.get("input")
    split = isinstance(given, str) and given and users[0].endswith(_AFTER_A_LINE + given)
    if split and (instruction := users[0].removesuffix(f"{_AFTER_A_LINE}{given}")).strip():
        users[0] = instruction
    else:
        split = False
    return Said(
        users=tuple(users),
        references=(*answers, *[None] * (len(users) - len(answers))),
        input=str(given) if split else "",
        system=system or beside or "",
        used=frozenset({key, *(["input"] if split else []), *([] if system and beside else ["system"])}),
        marks=tuple(marks) if any(marks) else (),
        lost=tuple(lost),
    )


EARLIER = (  # what was said before
    *("history", "chat_history", "conversation_history", "dialog_history", "dialogue_history", "message_history"),
    *("previous_turns", "earlier_turns", "past_turns", "prior_turns", "previous_messages"),
)
_ASKED = ("user", "human", "question", "query", "instruction", "prompt", "input")  # in a pair with names
_SAID_SO = ("assistant", "gpt", "bot", "answer", "response", "output", "reply", "completion")


def said_at_once(entry: Entry, names: Mapping[str, str]) -> Said:
    """The content of an object of one question, by the format's names for instruction, input and output. What was said
    before it, as pairs of question and answer or as messages, comes first."""
    question, given = entry.text(names["instruction"], required=True) or "", entry.text(names["input"]) or ""
    key = next((key for key in EARLIER if entry.fields.get(key)), None)
    before = _earlier(entry, key) if key else []
    if before and given:
        question, given = f"{question}{_AFTER_A_LINE}{given}", ""
    return Said(
        users=(*(user for user, _ in before), question),
        references=(*(answer for _, answer in before), entry.text(names["output"])),
        input=given,
        system=entry.text("system") or "",
        used=frozenset({*names.values(), "system", *([key] if key else [])}),
    )


def _earlier(entry: Entry, key: str) -> list[tuple[str, str]]:
    """The earlier turns. Raises DataError for what is neither pairs of texts nor messages by turns."""
    given = _list(entry, key)
    if all(isinstance(one, dict) and not {*SPEAKER}.isdisjoint(one) for one in given):
        said = said_in_messages(replace(entry, fields={"messages": given}), ("messages",))
        if said.system or said.marks or None in said.references:
            raise entry.error(f"{key!r} should be questions and their answers alone, each without further fields")
        return [(user, answer or "") for user, answer in zip(said.users, said.references, strict=True)]
    pairs = []
    for number, one in enumerate(given, start=1):
        pair = one
        if isinstance(one, dict):  # in whichever order they stand
            pair = [one.get(name) for known in (_ASKED, _SAID_SO) for name in known if name in one]
            pair = pair if len(one) == len(pair) else None
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(t, str) and t.strip() for t in pair)):
            raise entry.error(f"{key!r} should be pairs of a question and its answer", f"turn {number}")
        pairs.append((pair[0], pair[1]))
    return pairs


def _keys(one: Mapping[str, Any], key: str) -> tuple[str, str]:
    """The names of a message's speaker and of its text. Either shape may come with the other's."""
    return next(
        ((name, text) for name, text in zip(SPEAKER, SAID, strict=True) if name in one),
        (SPEAKER[key == "messages"], SAID[key == "messages"]),
    )


def with_tools(entry: Entry) -> Entry:
    """The object with its tools as text, as Hermes and Qwen write them: calls within what the assistant says, results
    as turns of the user, and the tools in the system message. The very object where there are none. Raises DataError
    for calls and tools that cannot be read."""
    key = next((name for name in MESSAGE_LISTS if isinstance(entry.fields.get(name), list)), None)
    if key is None or not all(isinstance(one, dict) for one in entry.fields[key]):
        return entry  # reading it says what is wrong
    told: list[dict[str, Any]] = []
    after_result, changed = False, False
    for number, one in enumerate(entry.fields[key], start=1):
        speaker, said = _keys(one, key)
        role, where = str(one.get(speaker)).strip().lower(), f"message {number}"
        if calls := _calls(entry, where, one, said if role in CALLED else None):
            beside = [one[said]] if role not in CALLED and isinstance(one.get(said), str) and one[said] else []
            text = "\n".join([*beside, *(f"<tool_call>\n{call}\n</tool_call>" for call in calls)])
            rest = {name: value for name, value in one.items() if name not in CALLS}
            told.append({**rest, speaker: "assistant", said: text})
        elif role in RESULTS:
            value = one.get(said)
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            text = text if "<tool_response>" in text else f"<tool_response>\n{text}\n</tool_response>"
            if after_result:
                told[-1][said] += f"\n{text}"
            else:
                told.append({speaker: "user", said: text})
        else:
            told.append(one)
            after_result = False
            continue
        after_result, changed = role in RESULTS, True
    tools = _tools(entry)
    if not (changed or tools):
        return entry
    fields = {**entry.fields, key: told}
    if tools:
        speaker, said = _keys(told[0], key) if told else SPEAKER
        if told and ROLES.get(str(told[0].get(speaker)).strip().lower()) == "system":
            told[0] = {**told[0], said: f"{told[0].get(said)}{_AFTER_A_LINE}{tools}"}
        else:
            system = entry.text("system")
            fields["system"] = f"{system}{_AFTER_A_LINE}{tools}" if system else tools
    return replace(entry, fields=fields)


def _calls(entry: Entry, where: str, one: Mapping[str, Any], said: str | None) -> list[str]:
    """The calls of a message as JSON: of its `tool_calls`, or of its text where that is one."""
    given = one.get(said) if said else next((one[name] for name in CALLS if one.get(name)), None)
    if isinstance(given, str) and "<tool_call>" in given:
        return [part.split("</tool_call>")[0].strip() for part in given.split("<tool_call>")[1:]]
    calls = []
    for call in _parsed(entry, where, given):
        named = call.get("function", call) if isinstance(call, dict) else call
        if not isinstance(named, dict) or not isinstance(named.get("name"), str):
            raise entry.error("a call of a tool without its name", where)
        arguments = named.get("arguments", named.get("parameters", {}))
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments or "{}")
            except ValueError:
                raise entry.error("the arguments of a tool's call are not JSON", where) from None
        calls.append(json.dumps({"name": named["name"], "arguments": arguments}, ensure_ascii=False))
    return calls


def _tools(entry: Entry) -> str:
    """What the system message says of an object's tools; "" where it has none."""
    tools = _parsed(entry, "", next((entry.fields[name] for name in TOOLS if entry.fields.get(name)), None))
    listed = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    return _TOOLS_SAID.format(listed) if tools else ""


def _parsed(entry: Entry, where: str, given: Any) -> list[Any]:
    """A list, or one object, as it is or as JSON."""
    if isinstance(given, str):
        try:
            given = json.loads(given) if given.strip() else []
        except ValueError:
            raise entry.error("a tool's call, or its tools, are not JSON", where) from None
    return given if isinstance(given, list) else [] if given is None else [given]


def said_in_turns(entry: Entry) -> Said:
    """The content of an object in the shape of MT-Bench."""
    raw = [{"role": "user", "content": turn} for turn in _list(entry, "turns")]
    users = [_message(entry, f"turn {number}", one, "role", "content").content for number, one in enumerate(raw, 1)]
    return Said(
        users=tuple(users),
        references=_references(entry, len(users)),
        system=entry.text("system") or "",
        used=frozenset({"turns", "reference", "references", "system"}),
    )


def written_in_messages(
    sample: Sample, marks: Sequence[Mapping[str, Any]], key: str, speaker: str, said: str, roles: Mapping[Role, str]
) -> dict[str, Any]:
    """The sample as messages, up to its first turn without an answer. Its input stands in the first turn, and again
    beside the messages, so that it is known again."""
    told: list[tuple[Role, str]] = [("system", sample.system)] if sample.system else []
    first = f"{sample.instruction}{_AFTER_A_LINE}{sample.input}" if sample.input else sample.instruction
    for user, answer in zip((first, *sample.turns), sample.references, strict=True):
        told.append(("user", user))
        if answer is None:
            break
        told.append(("assistant", answer))
    own = marks if len(marks) == len(told) else [{}] * len(told)
    messages = [{speaker: roles[role], said: text, **mark} for (role, text), mark in zip(told, own, strict=True)]
    return {key: messages, **({"input": sample.input} if sample.input else {})}


def _message(entry: Entry, where: str, fields: dict[str, Any], speaker: str, said: str) -> Message:
    role = _text(entry, where, speaker, fields.get(speaker))
    if role.strip().lower() not in ROLES:
        hint = did_you_mean(role, ROLES) or f" (known are: {', '.join(ROLES)})"
        raise entry.error(f"unknown role {role!r}{hint}", where)
    content = fields.get(said)
    if isinstance(content, list):
        content = _joined(entry, where, content)
    content = _text(entry, where, said, content)
    if not content.strip():
        raise entry.error(f"the turn of {role!r} is empty", where)
    return Message(role=ROLES[role.strip().lower()], content=content)


def _text(entry: Entry, where: str, key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise entry.error(
            f"{entry.called(key)} is not a text" if value is not None else f"no {entry.called(key)}", where
        )
    return value


def _joined(entry: Entry, where: str, parts: list[Any]) -> str:
    """The text of OpenAI's content parts. Images and sounds are refused."""
    texts = []
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind != "text" or not isinstance(part.get("text"), str):
            raise entry.error(f"a part of type {kind!r}; only text can be read", where)
        texts.append(part["text"])
    return "\n".join(texts)


def _check_order(entry: Entry, where: str, before: Sequence[Message], message: Message) -> None:
    if message.role == "system":
        if before:
            raise entry.error("a system message comes first, and once", where)
        return
    last = before[-1].role if before else "system"
    if last == "system" and message.role == "assistant":
        raise entry.error("the conversation begins with the assistant; the user speaks first", where)
    if last == message.role:
        raise entry.error(f"two turns of the {message.role} in a row", where)


def _list(entry: Entry, key: str) -> list[Any]:
    turns = entry.fields[key]
    if not isinstance(turns, list):
        raise entry.error(f"{entry.called(key)} should be a list of turns, not {type(turns).__name__}")
    if not turns:
        raise entry.error(f"{entry.called(key)} has no turn")
    return turns


def _references(entry: Entry, turns: int) -> tuple[str | None, ...]:
    """The references of an item in the shape of MT-Bench: one a turn, or none."""
    given = entry.fields.get("reference", entry.fields.get("references"))
    if not given:
        return (None,) * turns
    if (
        not isinstance(given, list)
        or len(given) != turns
        or not all(one is None or isinstance(one, str) for one in given)
    ):
        raise entry.error(f"'reference' should be a list of {counted(turns, 'text')}, one a turn")
    return tuple(one if one and one.strip() else None for one in given)
