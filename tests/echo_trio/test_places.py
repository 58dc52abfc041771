"""Who has a place, and whose place a newcomer takes: any order of events, by a slow reference."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from echo_trio.admission import PlaceCapacity
from echo_trio.places import MAX_LOOKS, SILENCE_S, Places


@dataclass(eq=False)
class Guest:
    heard_s: float = 0.0
    has_place: bool = False
    waits: bool = False
    unread: bool = False


def has_unread(guest: Guest) -> bool:
    return guest.unread


def filled(connections: int, at_s: float = 0.0) -> tuple[Places[Guest], list[Guest]]:
    places: Places[Guest] = Places(PlaceCapacity(connections, 2))
    guests = [Guest(heard_s=at_s) for _ in range(connections)]
    assert all(map(places.enter, guests))
    return places, guests


def test_the_one_that_has_been_silent_for_longest_loses_its_place() -> None:
    places, (first, second, _) = filled(3)
    places.hear(first, 0.5)
    assert places.longest_silent(2.0, has_unread) is second
    assert not second.has_place
    assert places.enter(Guest(heard_s=2.0))


def test_nobody_loses_a_place_who_sent_something_within_a_second() -> None:
    places, _ = filled(3, at_s=1.0)
    assert places.longest_silent(1.0 + SILENCE_S / 2, has_unread) is None
    assert places.taken == 3


def test_one_whose_bytes_have_arrived_and_were_not_read_yet_is_not_silent() -> None:
    places, (first, second, _) = filled(3)
    first.unread = True
    assert places.longest_silent(2.0, has_unread) is second
    assert first.has_place


def test_one_whose_bytes_had_arrived_was_heard_when_that_was_seen() -> None:
    places, (guest,) = filled(1)
    guest.unread = True
    assert places.longest_silent(2.0, has_unread) is None
    guest.unread = False
    assert places.longest_silent(2.0 + SILENCE_S / 2, has_unread) is None
    assert places.longest_silent(2.0 + SILENCE_S, has_unread) is guest


def test_one_whose_handshake_is_done_keeps_its_place_however_silent_it_is() -> None:
    places, guests = filled(3)
    for guest in guests:
        places.settle(guest)
    assert places.longest_silent(3600.0, has_unread) is None


def test_one_that_was_refused_is_the_first_to_go_and_goes_at_once() -> None:
    places, (*_, last) = filled(3)
    places.dismiss(last)
    assert places.longest_silent(0.0, has_unread) is last
    assert places.longest_silent(0.0, has_unread) is None


def test_no_more_are_looked_at_than_a_newcomer_is_worth() -> None:
    places, guests = filled(MAX_LOOKS + 1)
    for guest in guests[:MAX_LOOKS]:
        guest.unread = True
    assert places.longest_silent(2.0, has_unread) is None
    assert places.longest_silent(2.0, has_unread) is guests[MAX_LOOKS]


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order, the counts are those of the guests."""

    def __init__(self) -> None:
        super().__init__()
        self.places: Places[Guest] = Places(PlaceCapacity(3, 2))
        self.guests: list[Guest] = []
        self.settled: set[Guest] = set()
        self.refused: set[Guest] = set()
        self.now_s = 0.0

    @rule(passed_s=st.sampled_from([0.0, 0.3, 1.0]), unread=st.booleans())
    def arrive(self, passed_s: float, unread: bool) -> None:
        self.now_s += passed_s
        guest = Guest(heard_s=self.now_s, unread=unread)
        inside = sum(other.has_place for other in self.guests)
        outside = sum(other.waits for other in self.guests)
        assert self.places.enter(guest) is guest.has_place is (inside < 3)
        if not guest.has_place:
            assert self.places.wait(guest) is guest.waits is (outside < 2)
        if guest.has_place or guest.waits:
            self.guests.append(guest)

    @precondition(lambda self: self.guests)
    @rule(data=st.data(), what=st.sampled_from(["hear", "settle", "dismiss", "leave", "enter"]))
    def go_on(self, data: st.DataObject, what: str) -> None:
        guest = data.draw(st.sampled_from(self.guests))
        if what == "hear":
            self.places.hear(guest, self.now_s)
        elif what == "settle":
            self.places.settle(guest)
            self.settled.add(guest)
        elif what == "dismiss" and guest.has_place and guest not in self.settled:
            self.places.dismiss(guest)
            self.refused.add(guest)
        elif what == "leave":
            self.places.leave(guest)
            self.guests.remove(guest)
        elif what == "enter" and guest.waits:
            # Who waits at the door comes in by saying what it wants, and not before.
            self.places.hear(guest, self.now_s)
            self.places.enter(guest)

    @rule()
    def make_room(self) -> None:
        handshakes = [
            guest for guest in self.guests
            if guest.has_place and guest not in self.settled | self.refused
        ]  # fmt: skip
        silent = [
            guest for guest in handshakes
            if self.now_s - guest.heard_s >= SILENCE_S and not guest.unread
        ]  # fmt: skip
        leaving = [guest for guest in self.guests if guest.has_place and guest in self.refused]
        gone = self.places.longest_silent(self.now_s, has_unread)
        if leaving:
            assert gone in leaving
        elif silent:
            assert gone is not None
            assert gone.heard_s == min(guest.heard_s for guest in silent)
        else:
            assert gone is None
        if gone is not None:
            self.guests.remove(gone)

    @invariant()
    def the_counts_are_those_of_the_guests(self) -> None:
        assert self.places.taken == sum(guest.has_place for guest in self.guests) <= 3
        assert self.places.waiting == sum(guest.waits for guest in self.guests) <= 2
        assert not any(guest.has_place and guest.waits for guest in self.guests)


TestAnyOrder = AnyOrder.TestCase
