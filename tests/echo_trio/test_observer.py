"""Two observers are told of everything, the first one first."""

from __future__ import annotations

from typing import Any

from echo_trio.metrics.counters import Outcome
from echo_trio.observer import BothObservers


class Observer:
    """Notes each call, under its name."""

    def __init__(self, name: str, told: list[tuple[Any, ...]]) -> None:
        self._name, self._told = name, told

    def accepted(self, peer: str) -> Observer:
        self._told.append((self._name, "accepted", peer))
        return Observer(self._name, self._told)

    def __getattr__(self, call: str) -> Any:
        return lambda *what: self._told.append((self._name, call, *what))


def test_both_are_told_the_same_in_the_same_order() -> None:
    told: list[tuple[Any, ...]] = []
    observer: Any = BothObservers(Observer("one", told), Observer("other", told))  # type: ignore[arg-type]
    connection = observer.accepted("peer")
    calls: list[tuple[Any, ...]] = [
        ("requested", "request"),
        ("opened", "chat", ["deflate"]),
        ("received", "hello"),
        ("sent", b"world"),
        ("ended", Outcome.CLEAN, {"code": 1000}),
    ]
    for call, *what in calls:
        getattr(connection, call)(*what)
    assert told == [
        (name, *call) for call in [("accepted", "peer"), *calls] for name in ("one", "other")
    ]
