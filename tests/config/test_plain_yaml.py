"""YAML as people write it; what would take time or memory without end is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from judgekit.config.plain_yaml import parse_yaml
from judgekit.errors import ConfigError

BOMB = "".join(
    f"{name}: &{name} [{', '.join([f'*{before}' if before else 'x'] * 9)}]\n"
    for before, name in zip(["", *"abcdefghijk"], "abcdefghijkl", strict=True)
)
MERGES = "m0: &m0 {k0: 1}\n" + "".join(f"m{i}: &m{i} {{<<: *m{i - 1}, k{i}: 1}}\n" for i in range(1, 2000))


def read(text: str) -> Any:
    return parse_yaml(text, Path("judgekit.yaml"))[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "judgekit.yaml:[0-9]+: more than 100,000 values"),
        (MERGES, "judgekit.yaml:[0-9]+: more than 100,000 values"),
        ("a: &a [*a]", "judgekit.yaml:1: an alias leads into itself"),
        ("a: &a {b: {c: *a}}", "an alias leads into itself"),
        ("x: 1\na: &a {<<: *a}", "judgekit.yaml:2: an alias leads into itself"),
        ("a: {<<: 3}", "<< merges mappings"),
        ("a: {<<: [{b: 1}, 3]}", "<< merges mappings"),
        ("a: {<<: {b: 1}, <<: {c: 1}}", "duplicate key"),
        ("a: 1\nb: 2\na: 3", 'judgekit.yaml:3: duplicate key "a"'),
        (f"x: {'9' * 5000}", "beyond 64 bits"),
        (f"x: 0x{'f' * 5000}", "beyond 64 bits"),
        ("x: 18446744073709551616", "beyond 64 bits"),
        ("x: 1e999", "too large"),
        ("? [a, b]\n: 1", "a key is a word or a number"),
        ("x: !!python/object:os.system a", "has no place here"),
        ("x: !!set {a, b}", "x: a set has no place here"),
        ("x: !!binary aGk=", "x: a binary has no place here"),
        ("x: 2024-01-01", "x: a timestamp has no place here"),
        ("x: [" * 5000, "nested too deeply|expected"),
        ("a: 1\n---\nb: 1", "judgekit.yaml:2: not YAML"),
        ("a: *b", "judgekit.yaml:1: not YAML: found undefined alias"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(text)


def test_merge_keys_are_read_as_in_yaml_1_1() -> None:
    text = """
base: &base {type: exact_match, a: 1}
more: &more {a: 2, b: 3}
one: {<<: *base, a: 0}
two: {a: 0, <<: *base}
both: {<<: [*base, *more], c: 4}
chain: &chain {<<: *more, d: 5}
far: {<<: *chain}
word: {"<<": 6}
"""
    tree = read(text)
    assert tree["one"] == tree["two"] == {"type": "exact_match", "a": 0}
    assert tree["both"] == {"type": "exact_match", "a": 1, "b": 3, "c": 4}
    assert tree["far"] == {"a": 2, "b": 3, "d": 5}
    assert tree["word"] == {"<<": 6}


def test_the_line_of_a_key_is_where_it_is_written() -> None:
    lines = parse_yaml("a: &a\n  x: 1\nb:\n  <<: *a\n  y: 2\n", Path("judgekit.yaml"))[1]
    assert lines == {("a",): 1, ("a", "x"): 2, ("b",): 3, ("b", "x"): 2, ("b", "y"): 5}


def test_plain_values_are_yaml_1_2s() -> None:
    text = "[yes, no, true, ~, null, '', 012, 0o17, 0x1F, 1_000, 1e3, 1.5, -.inf, 1:30, 'x', !!str 5]"
    expected = ["yes", "no", True, None, None, "", 12, 15, 31, 1000, 1000.0, 1.5, float("-inf"), "1:30", "x", "5"]
    assert read(text) == expected
    assert read("18446744073709551615") == 2**64 - 1
    assert read("") is None
    assert read("{1: a, 2.5: b, true: c, ~: d}") == {"1": "a", "2.5": "b", "True": "c", "None": "d"}
