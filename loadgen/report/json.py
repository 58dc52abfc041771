"""Write the report as JSON, and its schema."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from loadgen.report.model import Report

SCHEMA_PATH: Final = Path(__file__).parents[1] / "report.schema.json"


def encode(report: Report) -> bytes:
    """Encode the report in JSON, indented, with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def make_schema() -> dict[str, Any]:
    """Make the JSON schema of a report, which `report.schema.json` contains."""
    schema = msgspec.json.schema(Report)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "loadgen report",
        **schema,
    }


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(make_schema()), indent=2))
    sys.stdout.buffer.write(b"\n")
