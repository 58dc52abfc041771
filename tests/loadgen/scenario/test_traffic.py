"""Read from recorded traffic what was recorded, by which program it may be."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.scenario.traffic import NoTraffic, read

data = st.sampled_from(["", "hello", "aGk=", '{"id": 1}', "two\nlines"])
#: The messages of a socket: sent or received, text or binary, and what they say.
sockets = st.lists(
    st.lists(st.tuples(st.booleans(), st.booleans(), data), min_size=1, max_size=4), max_size=4
).filter(bool)


def told_of(found):
    return [
        [(each.type == "send", each.opcode == 2, each.data) for each in one.messages]
        for one in found
    ]


def line(event, at_ms, number, **more):
    return {
        "type": event,
        "at_ms": at_ms,
        **({} if number is None else {"connection": number}),
    } | more


def log_of(sockets, number_of, *, interleaved):
    """Write one socket after the other, or one message of each in turn."""
    logs = []
    for place, messages in enumerate(sockets):
        number = number_of(place)
        log = [line("opened", 0, number, details={"path": f"/{place}"})]
        for is_sent, is_binary, content in messages:
            kind = {"kind": "binary" if is_binary else "text"}
            log.append(line("sent" if is_sent else "received", 1, number, data=content, **kind))
        logs.append([*log, line("closed", 2, number, details={"code": 1000})])
    if not interleaved:
        return [each for log in logs for each in log]
    longest = max(map(len, logs))
    return [log[at] for at in range(longest) for log in logs if at < len(log)]


@given(sockets, st.booleans(), st.booleans())
def test_of_a_log_each_socket_has_the_messages_that_it_had(sockets, interleaved, is_array):
    log = log_of(sockets, lambda place: place + 1, interleaved=interleaved)
    # Empty lines say nothing, wherever they stand.
    text = json.dumps(log) if is_array else "\n\n" + "\n \n".join(map(json.dumps, log))
    found = read(text.encode())
    assert told_of(found) == sockets
    assert [one.url for one in found] == [f"/{place}" for place in range(len(sockets))]


@given(sockets, st.sampled_from([None, 7]))
def test_where_sockets_have_one_number_or_none_each_begins_where_it_was_opened(sockets, number):
    log = log_of(sockets, lambda _: number, interleaved=False)
    assert told_of(read("\n".join(map(json.dumps, log)).encode())) == sockets


def test_a_last_line_that_was_cut_short_is_left_out_and_no_other():
    whole = "\n".join(map(json.dumps, log_of([[(True, False, "hello")]], int, interleaved=False)))
    cut = whole + '\n{"type": "sent", "at_m'
    assert told_of(read(cut.encode())) == [[(True, False, "hello")]]
    with pytest.raises(NoTraffic, match="line 4 is not as the lines before it"):
        read(f"{cut}\n".encode())


@given(st.lists(st.integers(0, 10_000_000), min_size=1, max_size=5))
def test_each_message_came_so_many_seconds_after_the_beginning_as_the_log_has_milliseconds(times):
    log = [line("opened", 0, 1, details={}), *(line("sent", ms, 1, data="x") for ms in times)]
    (found,) = read(json.dumps(log).encode())
    assert [round(each.time * 1000) for each in found.messages] == times


def test_a_socket_that_has_said_and_heard_nothing_is_none():
    opened = '{"type": "opened", "at_ms": 0, "connection": %d}\n'
    sent = '{"type": "sent", "at_ms": 1, "connection": 2, "data": "x"}\n'
    (socket,) = read((opened % 1 + opened % 2 + sent).encode())
    assert [message.data for message in socket.messages] == ["x"]


@pytest.mark.parametrize(
    ("details", "url", "is_masked"),
    [
        ({"url": "wss://h/a?token=t", "path": "/b"}, "wss://h/a?token=t", False),
        ({"path": "/a", "query": "token=***"}, "/a?token=***", True),
        ({"path": "/a", "query": ""}, "/a", True),
        ({"path": "//h"}, "//h", True),
        ({"path": "no path"}, "/", True),
        ({"query": "a=1"}, "/?a=1", True),
        ({"path": 7, "query": 7, "url": 7}, "/", True),
        ({}, "/", True),
    ],
)
def test_a_url_is_what_was_told_and_only_the_servers_has_masked_values(details, url, is_masked):
    log = [line("opened", 0, 1, details=details), line("sent", 1, 1, data="x")]
    (found,) = read(json.dumps(log).encode())
    assert (found.url, found.is_masked) == (url, is_masked)


def test_lines_before_any_was_opened_are_of_a_socket_of_their_own():
    log = [line("sent", 1, number, data=f"of {number}") for number in (None, 3, None, 0)]
    found = read(json.dumps(log).encode())
    assert [[each.data for each in one.messages] for one in found] == [
        ["of None", "of None", "of 0"], ["of 3"]
    ]  # fmt: skip
