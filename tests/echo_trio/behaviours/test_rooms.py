"""Who gets what is said in a room, in which order, and how much of it at a time."""

from __future__ import annotations

from sys import getsizeof

from hypothesis import given
from hypothesis import strategies as st

from echo_trio.behaviours.actions import Reply
from echo_trio.behaviours.rooms import COPIES_PER_TURN, Rooms, room

from .acting import Acting, Empty


class House:
    """A process's rooms, and who is in them."""

    def __init__(self) -> None:
        self.rooms = Rooms()
        self.turns_wanted = 0
        self.rooms.call_for_turn = self.want_turn

    def want_turn(self) -> None:
        self.turns_wanted += 1

    def enter(self, name: str = "den", count: int = 1) -> list[Acting]:
        return [Acting(room(name)(lambda: 0), Empty(self.rooms)) for _ in range(count)]

    def take_all_turns(self) -> int:
        """Take turns as long as somebody wants one; return how many it were."""
        taken = 0
        while self.turns_wanted:
            self.turns_wanted = 0
            self.rooms.take_turn()
            taken += 1
        return taken


def say(member: Acting, message: str | bytes) -> None:
    assert list(member.received(message)) == []


def heard(member: Acting) -> list[str | bytes]:
    return [action.message for action in member.stage.put_here if isinstance(action, Reply)]


def test_every_message_goes_to_everybody_in_the_room_and_to_nobody_else():
    house = House()
    here, elsewhere = house.enter("den", 3), house.enter("attic", 2)
    for message, member in zip(["a", b"\x00", "c"], here, strict=True):
        say(member, message)
    say(elsewhere[0], "x")
    assert all(member.script.at_once for member in here)
    assert [heard(member) for member in here] == [["a", b"\x00", "c"]] * 3
    assert [heard(member) for member in elsewhere] == [["x"]] * 2


def test_whoever_has_left_gets_nothing_and_an_empty_room_is_forgotten():
    house = House()
    first, second = house.enter(count=2)
    say(first, "a")
    second.script.leave()
    say(first, "b")
    first.script.leave()
    assert (heard(first), heard(second)) == (["a", "b"], ["a"])
    assert not house.rooms._rooms


def test_a_large_room_gets_its_copies_a_turn_at_a_time_and_the_sender_is_not_read_until_then():
    house = House()
    members = house.enter(count=3 * COPIES_PER_TURN)
    say(members[0], "a")
    assert sum(len(heard(member)) for member in members) == COPIES_PER_TURN
    assert not members[0].stage.is_reading
    assert members[0].script.held_bytes > 0
    house.rooms.take_turn()
    assert sum(len(heard(member)) for member in members) == 2 * COPIES_PER_TURN
    house.take_all_turns()
    assert [heard(member) for member in members] == [["a"]] * len(members)
    assert members[0].stage.is_reading
    assert members[0].script.held_bytes == 0


def test_a_busy_room_does_not_keep_the_others_waiting():
    house = House()
    crowd, pair = house.enter("crowd", 20 * COPIES_PER_TURN), house.enter("pair", 2)
    say(crowd[0], "loud")
    say(pair[0], "quiet")
    house.rooms.take_turn()
    house.rooms.take_turn()
    assert [heard(member) for member in pair] == [["quiet"]] * 2
    assert sum(len(heard(member)) for member in crowd) < len(crowd)


def test_of_one_that_is_gone_what_nobody_has_yet_is_not_passed_on_and_what_some_have_is():
    house = House()
    members = house.enter(count=2 * COPIES_PER_TURN)
    say(members[0], "begun")
    say(members[1], "waits")
    say(members[2], "stays")
    assert members[0].script.leave() == 0
    assert members[1].script.leave() == 1
    house.take_all_turns()
    assert {tuple(heard(member)) for member in members[2:]} == {("begun", "stays")}
    # Of those that are gone, nobody is told that all have it.
    assert [member.stage.is_reading for member in members[:3]] == [False, False, True]


def test_whoever_leaves_amid_the_copies_of_a_message_gets_none_any_more():
    house = House()
    members = house.enter(count=2 * COPIES_PER_TURN)
    say(members[0], "a")
    had, still_to_come = members[1], members[-1]
    assert (heard(had), heard(still_to_come)) == (["a"], [])
    for leaver in (had, still_to_come):
        leaver.script.leave()
    house.take_all_turns()
    assert (heard(had), heard(still_to_come)) == (["a"], [])
    assert [heard(member) for member in members[:-1]] == [["a"]] * (len(members) - 1)
    assert members[0].stage.is_reading


def test_of_one_that_is_gone_before_its_rooms_turn_nothing_is_passed_on():
    house = House()
    crowd, (one, other) = house.enter("crowd", COPIES_PER_TURN), house.enter("pair", 2)
    say(crowd[0], "loud")  # That is all there is of this turn.
    say(one, "quiet")
    assert one.script.leave() == 1
    house.take_all_turns()
    assert (heard(crowd[1]), heard(other)) == (["loud"], [])


def test_whoever_comes_amid_the_copies_of_a_message_gets_the_next_ones():
    house = House()
    members = house.enter(count=2 * COPIES_PER_TURN)
    say(members[0], "a")
    (late,) = house.enter()
    say(members[1], "b")
    house.take_all_turns()
    assert heard(late) == ["b"]
    assert {tuple(heard(member)) for member in members} == {("a", "b")}


what_happens = st.lists(
    st.tuples(st.sampled_from(["say", "enter", "leave", "turn"]), st.integers(0, 2**16)),
    max_size=60,
)


@given(st.integers(1, 3 * COPIES_PER_TURN), what_happens)
def test_all_members_hear_the_same_in_the_same_order_from_when_they_came(count, events):
    house = House()
    members = house.enter(count=count)
    said = 0
    for what, which in events:
        member = members[which % len(members)] if members else None
        if what == "say" and member is not None and member.stage.is_reading:
            say(member, str(said))
            said += 1
        elif what == "enter":
            members += house.enter()
        elif what == "leave" and member is not None:
            members.remove(member)
            member.script.leave()
        elif what == "turn":
            house.rooms.take_turn()
    house.take_all_turns()
    longest = max((heard(member) for member in members), key=len, default=[])
    for member in members:
        mine = heard(member)
        assert mine == longest[len(longest) - len(mine) :]
        assert member.stage.is_reading
        assert member.script.held_bytes == 0
    assert [int(message) for message in longest] == sorted(map(int, longest))


def test_turns_in_which_nobody_said_anything_add_nothing_to_the_next():
    house = House()
    members = house.enter(count=3 * COPIES_PER_TURN)
    for _ in range(3):
        assert not house.rooms.take_turn()
    say(members[0], "a")
    assert sum(len(heard(member)) for member in members) == COPIES_PER_TURN
    assert [house.rooms.take_turn() for _ in range(3)] == [True, False, False]
    assert (house.turns_wanted, len(heard(members[-1]))) == (3, 1)


def test_copies_of_all_rooms_together_are_one_turns_work():
    house = House()
    half = COPIES_PER_TURN // 2
    rooms = [house.enter(str(number), half + 1) for number in range(3)]
    for members in rooms:
        say(members[0], "a")
    copies = [sum(len(heard(member)) for member in members) for members in rooms]
    assert copies == [half + 1, half - 1, 0]
    house.rooms.take_turn()
    assert [sum(len(heard(member)) for member in members) for members in rooms] == [half + 1] * 3


def test_whoever_has_said_several_things_is_read_once_the_last_is_passed_on():
    house = House()
    members = house.enter(count=COPIES_PER_TURN)
    for text in ("a", "bb", "c"):
        say(members[0], text)
    stage, script = members[0].stage, members[0].script
    held = getsizeof("bb") + getsizeof("c")
    assert (stage.is_reading, script.held_bytes) == (False, held)
    house.rooms.take_turn()
    assert (stage.is_reading, script.held_bytes) == (False, getsizeof("c"))
    house.rooms.take_turn()
    assert (stage.is_reading, script.held_bytes) == (True, 0)
    assert [heard(member) for member in members] == [["a", "bb", "c"]] * COPIES_PER_TURN


def test_rooms_that_have_much_to_copy_take_turns():
    house = House()
    rooms = [house.enter(name, 3 * COPIES_PER_TURN) for name in ("den", "attic")]
    copies = []
    for members in rooms:
        say(members[0], "a")
    for _ in range(6):
        copies.append([sum(len(heard(each)) for each in members) for members in rooms])
        house.rooms.take_turn()
    turns = [[copied // COPIES_PER_TURN for copied in both] for both in copies]
    assert turns == [[1, 0], [2, 0], [2, 1], [3, 1], [3, 2], [3, 3]]


def test_a_room_in_which_much_is_said_has_one_turn_like_the_others():
    house = House()
    most = 6 * COPIES_PER_TURN // 10
    crowd, den, attic = (
        house.enter(name, count)
        for name, count in (("crowd", COPIES_PER_TURN), ("den", most), ("attic", most))
    )
    say(crowd[0], "all there is of this turn")
    for member in den[:3]:
        say(member, "a")
    say(attic[0], "b")
    assert house.rooms.take_turn()
    copies = [sum(len(heard(each)) for each in members) for members in (den, attic)]
    assert copies == [most, COPIES_PER_TURN - most]
    house.take_all_turns()
    assert [len(heard(each)) for each in (*den, *attic)] == [3] * most + [1] * most
