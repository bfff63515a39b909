"""Calls of tools in conversations: learnt in a style that writes them, refused with their line elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest

from judgekit.data import TrainingDataOptions, read_answered, read_conversations, read_learnt, render_training
from judgekit.errors import DataError

CALL = '<tool_call>\n{"name": "weather", "arguments": {"town": "Ulm"}}\n</tool_call>'
RESULT = "<tool_response>\nSunny.\n</tool_response>"
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {}}}
ASKED, SAID = {"role": "user", "content": "Weather?"}, {"role": "assistant", "content": "It is sunny."}
HUMAN, GPT = {"from": "human", "value": "Weather?"}, {"from": "gpt", "value": "It is sunny."}
ARGUMENTS = {"town": "Ulm"}


def _openai(arguments: Any = '{"town": "Ulm"}', **more: Any) -> dict[str, Any]:
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": arguments}}
    calling = {"role": "assistant", "content": None, "tool_calls": [call], **more}
    return {"messages": [ASKED, calling, {"role": "tool", "tool_call_id": "1", "content": "Sunny."}, SAID]}


def _share(caller: str, called: Any, bringer: str, result: str = "Sunny.") -> dict[str, Any]:
    turns = [HUMAN, {"from": caller, "value": called}, {"from": bringer, "value": result}, GPT]
    return {"conversations": turns}


SHAPES = {
    "OpenAI": _openai(),
    "arguments as an object": _openai(ARGUMENTS),
    "a function_call of old": {
        "messages": [
            ASKED,
            {"role": "assistant", "content": "", "function_call": {"name": "weather", "arguments": '{"town": "Ulm"}'}},
            {"role": "function", "name": "weather", "content": "Sunny."},
            SAID,
        ]
    },
    "LLaMA-Factory": _share("function_call", json.dumps({"name": "weather", "arguments": ARGUMENTS}), "observation"),
    "a list of calls": _share("tool_call", json.dumps([{"name": "weather", "arguments": ARGUMENTS}]), "tool_response"),
    "Hermes": _share("gpt", CALL, "tool", RESULT),
}


def _written(tmp_path: Path, item: dict[str, Any]) -> Path:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(item))
    return path


def _read(tmp_path: Path, item: dict[str, Any]) -> Any:
    path = _written(tmp_path, item)
    (one,) = read_learnt(path, TrainingDataOptions(data=str(path)), None)
    return one


@pytest.mark.parametrize("shape", SHAPES)
def test_calls_and_results_are_turns_of_the_conversation(shape: str, tmp_path: Path) -> None:
    one = _read(tmp_path, SHAPES[shape])
    assert one.tools
    assert (one.sample.instruction, one.sample.turns) == ("Weather?", (RESULT,))
    assert one.sample.references == (CALL, "It is sunny.")
    assert one.learnt == (True, True)
    text = "".join(span.text for span in render_training("chatml", one.sample))
    assert f"<|im_start|>assistant\n{CALL}<|im_end|>\n<|im_start|>user\n{RESULT}<|im_end|>" in text
    one.check_tools("the style chatml", True)
    with pytest.raises(DataError, match=r"x\.jsonl:1: has tools, or calls of them, which the style alpaca does not"):
        one.check_tools("the style alpaca", False)


@pytest.mark.parametrize("shape", SHAPES)
def test_calls_are_refused_with_their_line_where_no_tool_is_called(shape: str, tmp_path: Path) -> None:
    path = _written(tmp_path, SHAPES[shape])
    for reader in (read_conversations, read_answered):
        with pytest.raises(DataError, match=r"x\.jsonl:1: message [23]: a call of a tool, or its result \(role "):
            reader(path)
    aside = {"messages": [ASKED, {**SAID, "tool_calls": _openai()["messages"][1]["tool_calls"]}]}
    with pytest.raises(DataError, match=r"message 2: a call of a tool"):
        read_conversations(_written(tmp_path, aside))


@pytest.mark.parametrize("tools", [[TOOL], json.dumps([TOOL])])
@pytest.mark.parametrize("key", ["tools", "functions"])
@pytest.mark.parametrize("system", ["no", "beside", "first"])
def test_tools_stand_in_the_system_message(tools: Any, key: str, system: str, tmp_path: Path) -> None:
    item = {**_openai(), key: tools}
    if system == "first":
        item["messages"] = [{"role": "system", "content": "Be brief."}, *item["messages"]]
    elif system == "beside":
        item["system"] = "Be brief."
    said = _read(tmp_path, item).sample.system
    assert said.startswith("# Tools" if system == "no" else "Be brief.\n\n# Tools")
    assert f"<tools>\n{json.dumps(TOOL)}\n</tools>" in said
    assert '{"name": <function-name>, "arguments": <args-json-object>}' in said


def test_parallel_calls_have_their_results_in_one_turn(tmp_path: Path) -> None:
    calls = [{"function": {"name": name, "arguments": "{}"}} for name in ("a", "b")]
    calling = {"role": "assistant", "content": "Let me see.", "tool_calls": calls, "weight": 0}
    results = [{"role": "tool", "content": text} for text in ("1", "2")]
    one = _read(tmp_path, {"messages": [ASKED, calling, *results, SAID]})
    first = "Let me see.\n" + "\n".join(
        f'<tool_call>\n{{"name": "{name}", "arguments": {{}}}}\n</tool_call>' for name in ("a", "b")
    )
    assert one.sample.references == (first, "It is sunny.")
    assert one.sample.turns == ("\n".join(f"<tool_response>\n{text}\n</tool_response>" for text in ("1", "2")),)
    assert one.learnt == (False, True), "a marked call is not learnt"


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (_openai("{town: Ulm"), "message 2: the arguments of a tool's call are not JSON"),
        (
            _share("function_call", "weather(Ulm)", "observation"),
            "message 2: a tool's call, or its tools, are not JSON",
        ),
        (_share("function_call", '{"town": "Ulm"}', "observation"), "message 2: a call of a tool without its name"),
        ({**_openai(), "tools": "weather"}, "a tool's call, or its tools, are not JSON"),
        ({"messages": [ASKED, SAID, {"role": "tool", "content": "x"}]}, "turn 2 has no answer"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(item: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"x\.jsonl:1: {said}"):
        _read(tmp_path, item)


def test_a_conversation_without_tools_is_the_same(tmp_path: Path) -> None:
    one = _read(tmp_path, {"messages": [ASKED, {**SAID, "tool_calls": None}], "tools": []})
    assert not one.tools
    assert one.sample.references == ("It is sunny.",)
