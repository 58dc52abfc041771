"""What the flags of the plan do, against servers that nobody here wrote."""

import asyncio
import itertools
import time

import pytest
from websockets.asyncio.server import ServerConnection

from loadgen.cli import load

QUICK = ("--duration", "300ms")


@pytest.fixture
def loadgen(loadgen_here):
    return loadgen_here


@pytest.fixture
def heard():
    """What the server has received, and when, in order."""
    return []


@pytest.fixture
def serve_echo(serve_websockets, heard):
    """An echo that notes everything; its connections go to `seen`."""

    def begin(seen=None, **options):
        async def handle(connection: ServerConnection, counts):
            counts["now"] += 1
            counts["most"] = max(counts["most"], counts["now"])
            if seen is not None:
                seen.append(connection)
            async for message in connection:
                heard.append((time.monotonic(), message))
                suffix = b" 7" if isinstance(message, bytes) else " 7"
                await connection.send(message + suffix)
            counts["now"] -= 1

        return serve_websockets(handle, **options)

    return begin


def right(run, messages):
    assert run.messages == {"sent": messages, "echoed": messages, "received": messages}
    assert run.target_did_right, run.report["verdict_reasons"]


# -- Load -------------------------------------------------------------------------------------


def test_a_rate_of_all_sockets_together_is_shared_by_them(loadgen, serve_echo, heard):
    run = loadgen("4", serve_echo().url, "--rate", "100/s", "--duration", "500ms",
                  "--message", "{conn}")  # fmt: skip
    right(run, 50)
    each = [sum(message == str(conn) for _, message in heard) for conn in range(4)]
    assert sorted(each) == [12, 12, 13, 13]


def test_stages_ramp_from_nothing_and_are_the_load_phase(loadgen, serve_echo, heard):
    opened = []

    async def note_when(connection, request):
        opened.append(time.monotonic())

    server = serve_echo(process_request=note_when)
    run = loadgen("4", server.url, "--stage", "1s:200/s", "--stage", "500ms:200/s",
                  "--stage", "500ms:0/s")  # fmt: skip
    right(run, 250)
    assert run.report["plan"]["duration_s"] == 2.0
    assert run.report["plan"]["stages"][1] == {"duration_s": 0.5, "rate_per_s": 200.0}
    # What a rate that rises from 0 sends in the first half of a second is a quarter of that
    # second's; a machine that is busy begins later, and sends later, and never earlier.
    began = opened[-1]
    assert sum(when < began + 0.5 for when, _ in heard) <= 26
    assert heard[-1][0] - began > 1.8


def test_what_would_be_a_gone_sockets_turn_is_the_others_when_all_share_a_rate(
    loadgen, serve_websockets
):
    async def drop_the_first(connection: ServerConnection, counts):
        first = counts["opened"] == 1
        async for message in connection:
            await connection.send(f"{message} 1")
            if first:
                connection.transport.abort()

    run = loadgen("4", serve_websockets(drop_the_first).url, "--rate", "100/s",
                  "--duration", "1s")  # fmt: skip
    assert run.messages["sent"] + run.messages.get("missed", 0) == 100
    assert run.messages["sent"] >= 95
    assert run.closed == {"clean": 3, "abnormal": 1}
    assert run.code == 1


def test_what_is_due_on_a_socket_that_is_gone_is_missed_and_said_so(loadgen, serve_websockets):
    async def close_the_first(connection: ServerConnection, counts):
        first = counts["opened"] == 1
        async for message in connection:
            await connection.send(f"{message} 1")
            if first:
                await connection.close()

    run = loadgen("2", serve_websockets(close_the_first).url, "--rate-per-conn", "10/s",
                  "--duration", "4s")  # fmt: skip
    assert run.messages["missed"] > 0
    assert run.messages["sent"] + run.messages["missed"] == 80
    assert any("were not sent" in reason for reason in run.report["verdict_reasons"])
    assert run.code == 1


def test_messages_end_with_the_duration_if_that_comes_first(loadgen, serve_echo):
    right(loadgen("2", serve_echo().url, "--messages", "100", "--rate-per-conn", "20/s",
                  "--duration", "500ms"), 20)  # fmt: skip


# -- Churn ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("load", "messages"),
    [
        pytest.param(("--rate-per-conn", "40/s"), 480, id="rate-per-socket"),
        pytest.param(("--rate", "160/s"), 480, id="rate-of-all"),
        pytest.param(("--closed-loop", "--think", "10ms"), None, id="closed-loop"),
        pytest.param(("--rate-per-conn", "0/s"), 0, id="idle"),
    ],
)
def test_a_socket_of_age_is_closed_and_followed_and_no_message_is_lost(
    loadgen, serve_echo, load, messages
):
    server = serve_echo()
    run = loadgen("4", server.url, "--lifetime", "200ms", "--duration", "3s", *load)
    server.wait_closed()
    assert run.connections["requested"] == run.connections["opened"] == server.counts["opened"]
    # Each of the four has had a follower at least, however little this machine could do.
    assert run.connections["opened"] >= 4 * 2
    assert run.connections["peak_open"] <= 4
    assert run.closed == {"clean": run.connections["opened"]}
    assert server.counts["closed 1000"] == run.connections["opened"]
    if messages is None:
        messages = run.messages["sent"]
        assert messages >= 4
    if messages:
        right(run, messages)
    assert run.target_did_right


def test_a_reply_in_flight_is_awaited_before_a_socket_of_age_is_closed(loadgen, serve_websockets):
    async def answer_late(connection: ServerConnection, counts):
        async for message in connection:
            time.sleep(0.05)  # noqa: ASYNC251 - the whole server is that slow
            await connection.send(f"{message} 1")

    run = loadgen("2", serve_websockets(answer_late).url, "--lifetime", "100ms", "--duration", "3s",
                  "--rate", "10/s")  # fmt: skip
    assert run.connections["opened"] > 2
    assert run.messages["echoed"] == run.messages["sent"] == 30
    assert run.closed == {"clean": run.connections["opened"]}


def test_numbers_of_sockets_that_follow_are_new_ones(loadgen, serve_echo, heard):
    run = loadgen("2", serve_echo().url, "--lifetime", "200ms", "--duration", "3s",
                  "--rate-per-conn", "20/s", "--message", "{conn}-{seq}")  # fmt: skip
    right(run, 120)
    assert len({message for _, message in heard}) == 120
    conns = {int(message.split("-")[0]) for _, message in heard}
    assert conns <= set(range(run.connections["opened"]))
    assert max(conns) >= 2


def test_sockets_on_their_way_to_replace_others_are_opening_in_the_series(loadgen, serve_echo):
    admitted = itertools.count()

    async def hesitate(connection, request):
        if next(admitted) >= 3:
            await asyncio.sleep(3)  # so that seconds of the run end meanwhile

    run = loadgen("3", serve_echo(process_request=hesitate).url, "--lifetime", "200ms",
                  "--duration", "2500ms", "--rate-per-conn", "0/s")  # fmt: skip
    assert (0, 3) in {(second["open"], second["opening"]) for second in run.report["series"]}


def test_a_server_that_takes_no_more_sockets_ends_the_churn_and_is_counted(
    loadgen, serve_echo, heard
):
    admitted = itertools.count()

    async def admit_three(connection, request):
        if next(admitted) >= 3:
            return connection.respond(503, "full")
        return None

    run = loadgen("3", serve_echo(process_request=admit_three).url, "--lifetime", "200ms",
                  "--duration", "30s", "--rate", "30/s")  # fmt: skip
    # With its last socket the run is over, long before its time.
    assert run.connections["opened"] == 3
    assert run.failed == {"rejected": 3}
    assert run.messages["sent"] == len(heard)
    assert run.code == 1


# -- Connecting -------------------------------------------------------------------------------


def test_handshakes_begin_no_faster_than_the_connect_rate(loadgen, serve_websockets):
    began = []

    async def note(connection, request):
        began.append(time.monotonic())

    async def hold(connection, counts):
        await connection.wait_closed()

    server = serve_websockets(hold, process_request=note)
    before = time.monotonic()
    run = loadgen("41", server.url, *QUICK, "--rate-per-conn", "0/s", "--connect-rate", "40/s")
    assert run.connections["opened"] == 41
    # The last begins 40 intervals after the first, which begins after this.
    assert max(began) - before >= 40 / 40


def test_headers_origin_and_subprotocols_are_in_the_handshake(loadgen, serve_echo):
    seen = []
    run = loadgen("1", serve_echo(seen, subprotocols=["chat.v2"]).url, *QUICK,
                  "--header", "Authorization: Bearer a:b", "--header", "X-Twice: 1",
                  "--header", "X-Twice: 2", "--header", "Host: example.org",
                  "--origin", "https://example.org",
                  "--subprotocol", "chat.v1", "--subprotocol", "chat.v2")  # fmt: skip
    assert run.target_did_right
    (connection,) = seen
    headers = connection.request.headers
    assert headers["Authorization"] == "Bearer a:b"
    assert headers.get_all("X-Twice") == ["1", "2"]
    assert headers["Host"] == "example.org"
    assert headers["Origin"] == "https://example.org"
    assert headers["Sec-WebSocket-Protocol"] == "chat.v1, chat.v2"
    assert connection.subprotocol == "chat.v2"
    assert run.report["plan"]["headers"][:2] == [["Authorization", "***"], ["X-Twice", "1"]]


def test_headers_come_from_a_file_too_so_that_nobody_else_sees_them(
    loadgen_here, serve_echo, tmp_path
):
    seen, file = [], tmp_path / "headers"
    file.write_text("Authorization: Bearer s3cret\n\nX-Twice: 1\n")
    run = loadgen_here("1", serve_echo(seen).url, *QUICK,
                       "--header", f"@{file}", "--header", "X-Twice: 2")  # fmt: skip
    (connection,) = seen
    assert connection.request.headers["Authorization"] == "Bearer s3cret"
    assert connection.request.headers.get_all("X-Twice") == ["1", "2"]
    assert "s3cret" not in str(run.report)


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "No such file"), ("X-A: 1\nnonsense\n", "line 2 is no header")]
)
def test_a_file_of_headers_that_is_none_is_one_line_without_what_it_says(
    capsys, tmp_path, content, problem
):
    file = tmp_path / "headers"
    if content is not None:
        file.write_text(content)
    assert load.main(["1", "--header", f"@{file}"]) == 2
    err = capsys.readouterr().err
    assert problem in err
    assert "nonsense" not in err
    assert len(err.splitlines()) == 1


def test_local_addresses_are_used_in_turn(loadgen, serve_echo):
    seen = []
    run = loadgen("9", serve_echo(seen).url, *QUICK, "--source-ip", "127.0.0.2-127.0.0.3",
                  "--source-ip", "127.0.0.9")  # fmt: skip
    assert run.connections["opened"] == 9
    addresses = sorted(connection.remote_address[0] for connection in seen)
    assert addresses == ["127.0.0.2"] * 3 + ["127.0.0.3"] * 3 + ["127.0.0.9"] * 3


# -- Messages ---------------------------------------------------------------------------------


def test_binary_messages_are_sent_and_verified_as_such(loadgen, serve_echo, heard):
    right(loadgen("2", serve_echo().url, "--messages", "2", "--rate-per-conn", "50/s",
                  "--binary"), 4)  # fmt: skip
    assert sorted(message for _, message in heard) == [
        text.encode().ljust(32, b".") for text in ("0-0", "0-1", "1-0", "1-1")
    ]


def test_a_text_echo_of_a_binary_message_is_corrupt(loadgen, serve_websockets):
    async def answer_in_text(connection: ServerConnection, counts):
        async for message in connection:
            await connection.send(message.decode() + " 1")

    run = loadgen("2", serve_websockets(answer_in_text).url, *QUICK, "--rate-per-conn", "10/s",
                  "--binary")  # fmt: skip
    assert run.messages == {"sent": 6, "corrupt": 6, "received": 6}


def test_a_file_of_any_bytes_is_one_message(loadgen, serve_echo, heard, tmp_path):
    content = bytes(range(256)) * 3 + b"{conn}{other}\n"
    path = tmp_path / "message"
    path.write_bytes(content)
    right(loadgen("1", serve_echo().url, "--messages", "2", "--rate-per-conn", "50/s",
                  "--binary", "--message-file", str(path)), 2)  # fmt: skip
    assert [message for _, message in heard] == [content.replace(b"{conn}", b"0")] * 2


def test_a_text_file_is_a_template(loadgen, serve_echo, heard, tmp_path):
    path = tmp_path / "message"
    path.write_text('{"id": {seq}, "ä": "{conn}"}')
    right(loadgen("1", serve_echo().url, "--messages", "2", "--rate-per-conn", "50/s",
                  "--message-file", str(path)), 2)  # fmt: skip
    assert [message for _, message in heard] == ['{"id": 0, "ä": "0"}', '{"id": 1, "ä": "0"}']
