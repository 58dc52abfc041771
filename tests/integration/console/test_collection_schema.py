"""Hold the example of a collection, which the page's own tests write, against its schema."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


def _read(name: str) -> dict[str, object]:
    read: dict[str, object] = json.loads((REFERENCE / name).read_text())
    return read


def test_the_example_of_a_collection_is_what_the_schema_says() -> None:
    schema, example = _read("collection.schema.json"), _read("collection.example.json")
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    validator.validate(example)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({**example, "version": 2})
