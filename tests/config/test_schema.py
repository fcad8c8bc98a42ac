"""The JSON Schema that editors use for space files."""

import json
from pathlib import Path
from typing import Any

import yaml

from search.config.read import spaces_folder
from search.config.schema import schema_path, schema_text
from search.config.space import Space
from search.config.trial_config import keys_of_config


def test_the_schema_in_spaces_is_that_of_the_code() -> None:
    current = schema_path().read_text(encoding="utf-8")
    assert current == schema_text(), "run python -m search.config.schema"


def test_every_key_of_a_space_stands_in_the_schema_with_its_limits() -> None:
    schema = json.loads(schema_text())

    assert set(schema["properties"]) == set(Space.model_fields)
    assert set(schema["$defs"]["Fixed"]["properties"]) == keys_of_config().keys() - {"n_draws", "callbacks"}
    of_study = {"n_draws", "weights", "callbacks"}
    assert set(schema["$defs"]["Free"]["properties"]) == keys_of_config().keys() - of_study
    assert schema["$defs"]["Fixed"]["properties"]["image_size"] == {
        "description": "side of the square pictures, pixels",
        "maximum": 1024,
        "minimum": 32,
        "type": "integer",
    }
    assert schema["required"] == ["study", "data"]


def test_the_shipped_space_files_name_the_schema_and_use_its_keys_only() -> None:
    schema = json.loads(schema_text())
    for path in spaces_folder().glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert text.startswith("# yaml-language-server: $schema=space.schema.json\n"), path
        assert _strange_keys(yaml.safe_load(text), schema, schema) == [], path


def test_a_strange_key_would_be_found() -> None:
    schema = json.loads(schema_text())
    assert _strange_keys({"study": "a", "fixed": {"droput": 1}}, schema, schema) == ["droput"]


def _strange_keys(value: Any, part: dict[str, Any], whole: dict[str, Any]) -> list[str]:
    """Walk a value beside its schema; where several forms are possible the one with all keys counts."""
    if "$ref" in part:
        part = whole["$defs"][Path(part["$ref"]).name]
    if "oneOf" in part:
        return min((_strange_keys(value, form, whole) for form in part["oneOf"]), key=len)
    if not isinstance(value, dict):
        return []
    known = part.get("properties", {})
    strange = [key for key in value if key not in known and not part.get("additionalProperties")]
    inner = ((value[key], known[key]) for key in value if key in known)
    return strange + [key for item, form in inner for key in _strange_keys(item, form, whole)]
