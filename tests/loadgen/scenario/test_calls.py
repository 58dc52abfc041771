"""What a socket remembers of the requests that were answered."""

from loadgen.scenario.calls import MAX_ANSWERED, KeyedCalls
from loadgen.scenario.content import KeyPath


def test_the_newest_answered_keys_are_known_and_older_ones_take_no_memory():
    keyed = KeyedCalls(KeyPath("id"))
    for number in range(3 * MAX_ANSWERED + 1):
        keyed.note_answered(f"mine-{number}")
    known = [
        number
        for number in range(3 * MAX_ANSWERED + 2)
        if keyed.is_duplicate({"id": f"mine-{number}"}, 0)
    ]
    assert known == list(range(2 * MAX_ANSWERED + 1, 3 * MAX_ANSWERED + 1))
