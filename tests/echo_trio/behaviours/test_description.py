"""Describe to programs the behaviours and faults that a path may have."""

from __future__ import annotations

import json
from typing import Any

from echo_trio.behaviours import fault_prefix, paths
from echo_trio.behaviours.description import describe

KINDS = {"count", "duration", "size", "rate", "status", "code", "text"}


def test_whatever_is_described_can_be_asked_for_with_its_example() -> None:
    described: dict[str, Any] = json.loads(json.dumps(describe()))
    assert [each["path"] for each in described["behaviours"]] == list(paths.BEHAVIOURS)
    assert [each["name"] for each in described["faults"]] == list(fault_prefix.NAMES)
    assert described["max_faults"] == 10
    for behaviour in described["behaviours"]:
        path = behaviour["path"]
        for parameter in behaviour["parameters"]:
            assert f"{{{parameter['name']}}}" in path
            path = path.replace(f"{{{parameter['name']}}}", parameter["example"])
        assert "{" not in path
        assert paths.find(path, 1) is not None
        assert behaviour["text"] == paths.BEHAVIOURS[behaviour["path"]].text
    for fault in described["faults"]:
        written = [f"~{fault['name']}", *(each["example"] for each in fault["parameters"])]
        prefix, rest = fault_prefix.split(written)
        assert rest == []
        assert bool(prefix.outgoing) is (prefix.refusal is None)
        assert fault["up"] is (fault["name"] != "status")
    every = [
        p for kind in ("behaviours", "faults") for e in described[kind] for p in e["parameters"]
    ]
    assert {parameter["kind"] for parameter in every} == KINDS
    for parameter in every:
        ordered = parameter["kind"] not in {"code", "text"}
        assert (parameter["low"] is not None, parameter["high"] is not None) == (ordered, ordered)
        assert parameter["allowed"]
