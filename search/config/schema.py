"""The JSON Schema of space files, with which editors complete and check them.

python -m search.config.schema
"""

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from search.config.read import spaces_folder
from search.config.space import Space


class _Untitled(GenerateJsonSchema):
    """Without pydantic's titles, which only repeat the keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema_path() -> Path:
    """Give the file that holds the schema."""
    return spaces_folder() / "space.schema.json"


def schema_text() -> str:
    """Write the schema of the space files as they are read now."""
    schema = Space.model_json_schema(by_alias=True, schema_generator=_Untitled)
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(dialect | schema, indent=1) + "\n"


if __name__ == "__main__":
    schema_path().write_text(schema_text(), encoding="utf-8")
