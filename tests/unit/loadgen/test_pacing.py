import pytest

from loadgen.pacing import OpenLoop


def test_so_many_messages_are_due_as_rate_and_duration_say():
    assert OpenLoop.of(1000, 1.0, 10.0, None).total == 10_000


@pytest.mark.parametrize(
    ("sockets", "rate_per_conn", "duration_s", "messages", "total"),
    [
        pytest.param(10, 2.0, 5.0, None, 100, id="open-loop"),
        pytest.param(10, 2.0, 5.0, 3, 30, id="messages"),
        pytest.param(10, 0.0, 5.0, None, 0, id="held-idle"),
        pytest.param(10, 0.0, 5.0, 3, 0, id="messages-without-rate"),
        pytest.param(1, 100.0, 0.29, None, 29, id="a-float-just-below"),
        pytest.param(10, 1.0, 0.0, None, 0, id="no-time"),
    ],
)
def test_the_total_of_a_schedule(sockets, rate_per_conn, duration_s, messages, total):
    assert OpenLoop.of(sockets, rate_per_conn, duration_s, messages).total == total


def test_every_socket_has_its_turn_within_each_period():
    pace = OpenLoop.of(4, 1.0, 10.0, None)
    assert [pace.socket_of(k) for k in range(8)] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert [pace.due_at(k) for k in range(4)] == [0.125, 0.375, 0.625, 0.875]


def test_nothing_is_due_beyond_the_total():
    assert OpenLoop.of(4, 1.0, 10.0, None).due_by(1e9) == 40


def test_a_message_is_due_at_the_moment_it_is_due():
    pace = OpenLoop.of(3, 7.0, 10.0, None)
    assert all(pace.due_by(pace.due_at(k)) == k + 1 for k in range(pace.total))
