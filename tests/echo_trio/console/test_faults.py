"""A request to change faults has one text, and is told what it lacks."""

from __future__ import annotations

import json

import pytest

from echo_trio.console.faults import MAX_CHARACTERS, BadFaults, read_faults


@pytest.mark.parametrize("text", ["", "~delay/200ms", "~" * MAX_CHARACTERS, "é" * MAX_CHARACTERS])
def test_a_text_is_taken_as_it_is(text: str) -> None:
    assert read_faults(json.dumps({"faults": text}).encode()) == text


@pytest.mark.parametrize(
    ("body", "status", "field", "says"),
    [
        (b"", 400, None, "the body is not JSON"),
        (b"[" * 100_000, 400, None, "the body is not JSON"),
        (b"[]", 422, None, "the body has to be an object"),
        (b"{}", 422, "faults", "faults: a text is needed"),
        (b'{"faults": 1}', 422, "faults", "faults: a text is needed"),
        (b'{"faults": null}', 422, "faults", "faults: a text is needed"),
        (json.dumps({"faults": "x" * 8193}).encode(), 422, "faults", "faults: a text is needed"),
        (b'{"faults": "", "fault": ""}', 422, "fault", "fault: there is only faults"),
        (json.dumps({"n" * 65: ""}).encode(), 422, "n" * 64, f"{'n' * 64}: there is only faults"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_anything_else_is_told_with_the_field_at_fault(
    body: bytes, status: int, field: str | None, says: str
) -> None:
    with pytest.raises(BadFaults) as told:
        read_faults(body)
    assert (told.value.status, told.value.field) == (status, field)
    assert str(told.value).startswith(says)
