"""Check what of a run may be changed: its words at any time, its load while that goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from echo_trio.console.run_settings import (
    LOAD,
    MAX_UNIT_CHARACTERS,
    WORDS,
    BadSettings,
    RunPatch,
    read_patch,
)
from echo_trio.console.run_settings import read_settings as read_new


@pytest.mark.parametrize(
    ("body", "words", "load"),
    [
        ({}, {}, {}),
        ({"name": " a b \n"}, None, None),
        ({"name": " a b "}, {"name": "a b"}, {}),
        ({"name": None, "note": "one\ntwo\n"}, {"name": "", "note": "one\ntwo"}, {}),
        ({"name": "n" * 200, "note": "n" * 4000}, {"name": "n" * 200, "note": "n" * 4000}, {}),
        ({"paused": False}, {}, {"paused": False}),
        ({"paused": True, "factor": 0, "rate": "5/s"},
         {}, {"rate": "5/s", "factor": 0, "paused": True}),
        ({"factor": 1.5, "note": ""}, {"note": ""}, {"factor": 1.5}),
        ({"rate": 7}, {}, {"rate": "7"}),
        ({"rate": "r" * MAX_UNIT_CHARACTERS}, {}, {"rate": "r" * MAX_UNIT_CHARACTERS}),
        ({"paused": None, "factor": None, "rate": None}, {}, {}),
    ],
)  # fmt: skip
def test_what_is_given_is_read_and_nothing_else(
    body: dict[str, Any], words: dict[str, str] | None, load: dict[str, Any] | None
) -> None:
    encoded = json.dumps(body).encode()
    if words is None or load is None:
        with pytest.raises(BadSettings, match=r"^name: one line$"):
            read_patch(encoded)
    else:
        assert read_patch(encoded) == RunPatch(words, load)


@pytest.mark.parametrize(
    ("body", "field", "complaint"),
    [
        ({"count": 1}, "count", "count: of a run there are name, note, rate, factor, paused"),
        ({"name": "n" * 201}, "name", "name: a text of at most 200 characters"),
        ({"note": "n" * 4001}, "note", "note: a text of at most 4000 characters"),
        ({"note": 1}, "note", "note: a text of at most 4000 characters"),
        ({"note": "a\x00b"}, "note", "note: it has a character that can't be shown"),
        ({"paused": 1}, "paused", "paused: true or false"),
        ({"paused": "no"}, "paused", "paused: true or false"),
        ({"factor": "1"}, "factor", "factor: a number"),
        ({"factor": True}, "factor", "factor: a number"),
        ({"rate": True}, "rate", "rate: a text like 100/s"),
        ({"rate": ["1/s"]}, "rate", "rate: a text like 100/s"),
        ({"rate": "r" * (MAX_UNIT_CHARACTERS + 1)}, "rate", "rate: a text like 100/s"),
    ],
)
def test_what_can_be_none_of_them_is_refused_by_its_name(
    body: dict[str, Any], field: str, complaint: str
) -> None:
    with pytest.raises(BadSettings) as refused:
        read_patch(json.dumps(body).encode())
    assert (refused.value.status, refused.value.field) == (422, field)
    assert str(refused.value).startswith(complaint)


def test_a_new_run_has_words_as_well() -> None:
    made = read_new(b'{"count": 1, "name": " nightly ", "note": null}')
    assert (made.values, made.name, made.note) == ({"count": "1"}, "nightly", "")
    assert (LOAD, WORDS) == (("rate", "factor", "paused"), {"name": 200, "note": 4000})
