"""The check of prose finds what it is for: `make lint` runs it over all code."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from check_prose import find_faults


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ('"""What a run is."""', "begins with 'What'"),
        ('"""The poller."""', "begins with 'The'"),
        ('def f():\n    """Counts sockets."""', "begins with 'Counts'"),
        ('def f():\n    """`x` as text."""', "begins with '`x`'"),
        ('class A:\n    """Whether it is open."""', "begins with 'Whether'"),
        ('class A:\n    @property\n    def b(self):\n        """Is it?"""', "begins with 'Is'"),
        ('"""Count sockets.\n\nAll of\nit.\n"""', "has the phrase 'of it'"),
        ("x = 1  # So many, likewise", "has the phrase 'So many'"),
    ],
)
def test_a_fault_is_found(source: str, fault: str) -> None:
    assert any(found.startswith(fault) for _, found in find_faults(source))


@pytest.mark.parametrize(
    "source",
    [
        '"""Count every message in exactly one column."""',
        'def f():\n    """Pass a message on, because of its length."""',
        'class A:\n    """A socket, and the books of its messages."""',
        'class A:\n    @cached_property\n    def b(self):\n        """The number of sockets."""',
    ],
)
def test_plain_english_is_let_through(source: str) -> None:
    assert not [*find_faults(source)]
