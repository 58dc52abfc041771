"""The corpus of the fuzzer, without the fuzzer: each input parses or raises what is documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import target

HERE = Path(__file__).parent
CORPUS = sorted((HERE / "corpus").iterdir())


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_an_input_of_the_corpus_parses_or_raises_what_is_documented(path: Path) -> None:
    target.check(path.read_bytes())


def test_the_corpus_has_inputs_for_every_target_that_are_let_through_and_that_are_not() -> None:
    """Else the fuzzer would have to find on its own what a handshake looks like."""
    names = {path.name.rpartition("-")[0] for path in CORPUS}
    kinds = {"request", "response", "client", "server", "deflate", "settings", "journal", "report"}
    assert names >= kinds
    assert {path.read_bytes()[0] for path in CORPUS} == set(range(len(target.TARGETS)))


def test_any_start_of_an_input_is_an_input_too() -> None:
    for path in CORPUS:
        data = path.read_bytes()
        for end in range(min(len(data), 300 if data[0] < 5 else 30)):
            target.check(data[:end])
