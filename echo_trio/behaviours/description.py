"""Describe the behaviours and the faults to a program, which makes forms of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from echo_trio.behaviours import fault_prefix, parameters
from echo_trio.behaviours.parameters import Parameter
from echo_trio.behaviours.paths import BEHAVIOURS


def describe() -> dict[str, Any]:
    """Describe all that can stand in a path, as JSON has it.

    :returns: `behaviours` by their paths, with parameters in braces; `faults` by their names, each
        with whether the messages of the client can have it as well; and how many faults there may
        be.
    """
    return {
        "behaviours": [
            {"path": path, "text": behaviour.text, "parameters": _parameters(behaviour.parameters)}
            for path, behaviour in BEHAVIOURS.items()
        ],
        "faults": [
            *(
                {
                    "name": name,
                    "text": fault.text,
                    "up": True,
                    "parameters": _parameters(fault.parameters),
                }
                for name, fault in fault_prefix.FAULTS.items()
            ),
            {
                "name": fault_prefix.STATUS,
                "text": fault_prefix.STATUS_TEXT,
                "up": False,
                "parameters": _parameters({"http": parameters.STATUS}),
            },
        ],
        "max_faults": fault_prefix.MAX_FAULTS,
    }


def _parameters(named: Mapping[str, Parameter]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "kind": parameter.kind,
            "allowed": parameter.allowed,
            "example": parameter.example,
            "low": parameter.low,
            "high": parameter.high,
        }
        for name, parameter in named.items()
    ]
