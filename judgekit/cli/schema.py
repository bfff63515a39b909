"""`judgekit schema`: the JSON Schema of the config, for editors."""

from __future__ import annotations

import json
from typing import Any

import click

from judgekit.config.blocks import PRESETS, RunConfig
from judgekit.plugins import Catalogue, blocked_by_environment, build_manager
from judgekit.records import Sampling

# Definition in the schema → kind of plugin, and the key that names it.
PARTS = {
    "DataConfig": ("datasets", "loader"),
    "TrainConfig": ("trainers", "trainer"),
    "ModelConfig": ("backends", "backend"),
    "JudgeConfig": ("backends", "backend"),
    "MetricConfig": ("metrics", "type"),
}


@click.command("schema")
def command() -> None:
    """Print the JSON Schema of judgekit.yaml, with the options of every installed plugin.

    Put it beside a config, and name it in its first line: # yaml-language-server: $schema=./judgekit.schema.json
    """
    click.echo(json.dumps(build_schema(), indent=2, sort_keys=True))


def build_schema() -> dict[str, Any]:
    """The schema of the core's own keys; each part admits the options of the plugin that it names."""
    catalogue = Catalogue(build_manager(block=blocked_by_environment()))
    schema = RunConfig.model_json_schema()
    definitions = schema["$defs"]
    sampling = Sampling.model_json_schema()["properties"]
    for definition, (kind, key) in PARTS.items():
        part = definitions[definition]
        own = part["properties"]
        own.pop("options", None)
        if own.pop("sampling", None) is not None:
            own |= sampling
        if definition == "JudgeConfig":
            own |= _keys_of_readings(catalogue, own, definitions)
            own["preset"] = {"enum": sorted(PRESETS)}
            part["required"] = []
        names = catalogue.names(kind)
        own[key] = {**own[key], "enum": names}
        part["allOf"] = [_options_of(catalogue.get(kind, name), key, name, own, definitions) for name in names]
        part["unevaluatedProperties"] = False
        part.pop("additionalProperties", None)
    schema["title"] = "judgekit.yaml"
    return schema


def _keys_of_readings(catalogue: Catalogue, own: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The keys that readings have of their own. Which reading is asked by is the prompt's to say, so all are known."""
    keys: dict[str, Any] = {}
    for name in catalogue.names("readings"):
        options = catalogue.get("readings", name).Options.model_json_schema(ref_template="#/$defs/{model}")
        definitions.update(options.pop("$defs", {}))
        keys |= {key: value for key, value in options.get("properties", {}).items() if key not in own}
    return keys


def _options_of(factory: Any, key: str, name: str, own: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The condition: if the part names this plugin, these are its options."""
    options = factory.Options.model_json_schema(ref_template="#/$defs/{model}")
    definitions.update(options.pop("$defs", {}))
    then: dict[str, Any] = {
        "properties": {option: value for option, value in options.get("properties", {}).items() if option not in own}
    }
    if required := [option for option in options.get("required", []) if option not in own]:
        then["required"] = required
    return {"if": {"properties": {key: {"const": name}}, "required": [key]}, "then": then}
