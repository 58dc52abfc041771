"""What a supervisor decides."""

from __future__ import annotations

import pytest

from echo_trio.settings import Settings
from echo_trio.workers.supervisor import (
    FIRST_PAUSE_S,
    LONG_LIFE_S,
    LONGEST_PAUSE_S,
    QUEUE_PATIENCE_S,
    _describe,
    next_pause_s,
    share,
)


def test_the_first_restart_is_soon_and_those_that_die_at_once_wait_ever_longer() -> None:
    pauses = [0.0]
    for _ in range(12):
        pauses.append(next_pause_s(pauses[-1], lived_s=0.3))
    assert pauses[1] == FIRST_PAUSE_S < QUEUE_PATIENCE_S
    assert pauses[2:9] == [2 * earlier for earlier in pauses[1:8]]
    assert pauses[-1] == LONGEST_PAUSE_S


def test_after_a_long_life_the_next_is_soon_again() -> None:
    assert next_pause_s(LONGEST_PAUSE_S, lived_s=LONG_LIFE_S) == FIRST_PAUSE_S


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (-9, "killed by SIGKILL"),
        (0, "exit status 0"),
        (1, "exit status 1"),
        (None, "it can't be killed"),
    ],
)
def test_how_a_worker_ended_is_said_in_words(status: int | None, text: str) -> None:
    assert _describe(status) == text


@pytest.mark.parametrize(
    ("at_most", "workers", "shares"),
    [(10, 2, [5, 5]), (11, 3, [4, 4, 3]), (3, 3, [1, 1, 1]), (0, 2, [0, 0])],
)
def test_the_most_connections_are_shared_and_no_limit_is_none_for_each(
    at_most: int, workers: int, shares: list[int]
) -> None:
    settings = Settings(max_connections=at_most, workers=workers, seed=7)
    shared = share(settings)
    assert [its.max_connections for its in shared] == shares
    assert {its.seed for its in shared} == {7}


def test_fewer_connections_than_workers_cannot_be_shared() -> None:
    with pytest.raises(ValueError, match="--max-connections: 2 can't be shared by --workers 3"):
        Settings(max_connections=2, workers=3)
