"""Templates that loop, recurse or multiply are refused; those that people write are rendered as Jinja does."""

from __future__ import annotations

import jinja2
import pytest
from jinja2.exceptions import SecurityError

from judgekit.prompting.sandbox import Sandbox, bounded

BOMBS = [
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) if j < 0 %}{% endfor %}{% endfor %}",
    "{% for i in [1] recursive %}{{ loop([1, 1]) }}{% endfor %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{{ 'x' * 10 ** 10 }}",
    "{{ 10 ** 10 ** 10 }}",
    "{{ [0] * 10 ** 9 }}",
    "{{ '%999999999d' % 1 }}",
    "{{ '%999999999d' | format(1) }}",
    "{{ '%*d' | format(999999999, 1) }}",
    "{{ '{:999999999}'.format(1) }}",
    "{{ '{:{}}'.format(1, 999999999) }}",
    "{{ 'x'.ljust(10 ** 9) }}",
    "{{ 'x' | center(999999999) }}",
    "{{ 'x\ny' | indent(999999999) }}",
    "{{ {'a': 1} | tojson(999999999) }}",
    "{{ ['x'] | map('center', 999999999) | list }}",
    "{% set ns = namespace(a='xx') %}{% for i in range(60) %}{% set ns.a = ns.a ~ ns.a %}{% endfor %}",
    "{% set ns = namespace(a='xx') %}{% for i in range(60) %}{% set ns.a = ns.a + ns.a %}{% endfor %}",
    "{% set ns = namespace(a=[1]) %}{% for i in range(60) %}{% set ns.a = ns.a + ns.a %}{% endfor %}",
    "{% set ns = namespace(a=2) %}{% for i in range(60) %}{% set ns.a = ns.a * ns.a %}{% endfor %}",
    "{% set ns = namespace(a='x') %}{% for i in range(60) %}{% set ns.a = ns.a.replace('x', 'xx') %}{% endfor %}",
    "{% set ns = namespace(a='x') %}{% for i in range(60) %}{% set ns.a = ns.a | replace('x', 'xx') %}{% endfor %}",
    "{% set ns = namespace(a='x') %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] | join %}{% endfor %}",
    "{% set ns = namespace(a='x') %}{% for i in range(60) %}{% set ns.a = ns.a.join([ns.a, ns.a, ns.a]) %}{% endfor %}",
    "{% set a = 'x' * 999999 %}{% for i in range(99999) %}{{ a }}{% endfor %}",
    "{% for i in range(99999) %}{% set a = range(99999) | list | sort | length %}{% endfor %}",
    "{% set a = 'x' * 999999 %}{{ 'xxxxxxxxxxx'.translate({120: a}) }}",
]


@pytest.mark.parametrize("source", BOMBS)
def test_a_bomb_is_refused(source: str) -> None:
    with pytest.raises((SecurityError, OverflowError)), bounded():
        Sandbox().from_string(source).render()


def test_templates_are_rendered_as_jinja_does() -> None:
    """What chat templates make use of: loop's own values, filtered and recursive loops, joins, macros, namespaces."""
    source = """{%- macro say(m, end='!') %}{{ '<' ~ m.role ~ '>' + m['content'] | trim ~ end }}{% endmacro -%}
{%- for m in messages if m.role != 'tool' -%}
{{ loop.index }}/{{ loop.length }}{{ say(m) }}{% if loop.last %}|{{ loop.previtem.role }}{% endif %}{{ '=' * 3 }}
{%- else %}none{% endfor -%}
{%- for key, value in {'a': [1, 2], 'b': []}.items() %}{{ key }}{{ value | tojson }}{% endfor -%}
{%- for n in tree recursive %}({{ n.name }}{{ loop(n.children) }}){% endfor -%}
{%- for c in 'abc' %}{{ c }}{% if not loop.last %},{% endif %}{% endfor -%}
{%- set ns = namespace(n=0) %}{% for i in range(5) %}{% set ns.n = ns.n + i ** 2 % 3 %}{% endfor %}{{ ns.n }}
{{ messages | map(attribute='role') | join(', ') }}
{{ messages | selectattr('role', 'equalto', 'user') | list | length }}{{ 'x%dy' % 3 }}{{ 123456 | tojson(indent=4) }}
{{ 'a b'.replace(' ', '-') }}{{ 'a,b'.split(',')[-1] }}{{ '%s-%05d' | format('a', 42) }}{{ nothing ~ 1 }}
{{ '{}:{:>4}'.format('a', 123456) }}{{ ['a', 'b'] | join('-') }}{{ '-'.join(['a', 'b']) }}{{ nothing is defined }}"""
    known = {
        "messages": [{"role": role, "content": f" {role} says "} for role in ("system", "user", "tool", "user")],
        "tree": [{"name": "a", "children": [{"name": "b", "children": []}]}],
    }
    with bounded():
        ours = Sandbox().from_string(source).render(known)
    assert ours == jinja2.Environment().from_string(source).render(known)
    assert "4/" not in ours
    assert "3/3" in ours
