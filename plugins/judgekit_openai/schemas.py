"""Requests to a chat server for JSON: by a strict named schema, or for any object."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import JsonValue

Form = Literal["json_schema", "json_object", "none"]  # from the strictest down

_MAPS = ("properties", "patternProperties", "$defs", "definitions")  # name → schema
_LITERAL = ("enum", "const", "default", "examples", "required")


def response_format(form: Form, schema: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The `response_format` field that asks for JSON: by strict schema, or any object."""
    if form == "json_object":
        return {"type": "json_object"}
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", str(schema.get("title") or "reply"))[:64]
    return {"type": "json_schema", "json_schema": {"name": name, "schema": strict_schema(schema), "strict": True}}


def strict_schema(schema: Any) -> Any:
    """A JSON schema as strict mode wants it: every object closed, and all of its properties required."""
    if isinstance(schema, list):
        return [strict_schema(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    closed = {key: _strict_part(key, value) for key, value in schema.items()}
    kind = closed.get("type", "object")
    if isinstance(closed.get("properties"), dict) and "object" in (kind if isinstance(kind, list) else [kind]):
        closed |= {"required": list(closed["properties"]), "additionalProperties": False}
    return closed


def _strict_part(key: str, value: Any) -> Any:
    if key in _LITERAL:
        return value
    if key in _MAPS and isinstance(value, Mapping):
        return {name: strict_schema(inner) for name, inner in value.items()}
    return strict_schema(value)
