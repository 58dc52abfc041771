"""What connection.py takes for granted in trio-websocket, wsproto and trio, checked one by one.

When one of these fails, upstream has changed: read its changes, adapt wire/connection.py, run
tests/integration/test_upstream_suite.py, and only then move the pin in pyproject.toml.
"""

from __future__ import annotations

import inspect
import socket
import tomllib
from importlib.metadata import version

import pytest
import trio
import trio.testing
import wsproto
from packaging.requirements import Requirement
from trio_websocket import WebSocketConnection
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection as Parser
from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameProtocol, ParseFailed, RsvBits

from echo_trio.wire.connection import Connection

TESTED_WITH = {"trio-websocket": "0.12.2", "wsproto": "1.3.2"}
ADVICE = "wire/connection.py was written for another version; see tests/echo_trio/wire/test_upstream.py"


@pytest.mark.parametrize(("name", "tested"), TESTED_WITH.items())
def test_what_is_installed_is_what_was_tested_and_is_pinned(name, tested, pytestconfig):
    assert version(name) == tested, f"{name} {version(name)} is installed. {ADVICE}"
    project = tomllib.loads((pytestconfig.rootpath / "pyproject.toml").read_text())["project"]
    pins = [Requirement(line) for line in project["dependencies"]]
    (pin,) = [requirement for requirement in pins if requirement.name == name]
    assert str(pin.specifier) == f"=={tested}", f"{name} is not pinned to {tested}. {ADVICE}"


OVERRIDDEN = {
    "is_client": None,
    "is_server": None,
    "local": None,
    "remote": None,
    "ping": "(self, payload: 'bytes | None' = None) -> 'None'",
    "pong": "(self, payload: 'bytes | None' = None) -> 'None'",
    "send_message": "(self, message: 'str | bytes') -> 'None'",
    "_aclose": "(self, code: 'int', reason: 'str | None') -> 'None'",
    "_close_stream": "(self) -> 'None'",
    "_handle_close_connection_event": "(self, event: 'wsproto.events.CloseConnection') -> 'None'",
    "_reader_task": "(self) -> 'None'",
    "_send": "(self, event: 'wsproto.events.Event') -> 'None'",
}
CALLED = [
    "_handle_accept_connection_event",
    "_handle_ping_event",
    "_handle_reject_connection_event",
    "_handle_reject_data_event",
    "_handle_request_event",
]
READ_BY_UPSTREAM = {
    "aclose": ["_aclose"],
    "closed": ["_close_reason"],
    "get_message": ["_recv_channel", "_close_reason"],
    "handshake_headers": ["_handshake_headers"],
    "local": ["_stream"],
    "path": ["_path"],
    "remote": ["_stream"],
    "subprotocol": ["_subprotocol"],
    "__str__": ["_id", "is_client"],
}


@pytest.mark.parametrize(("name", "signature"), OVERRIDDEN.items())
def test_what_we_override_is_there_to_be_overridden(name, signature):
    theirs = getattr(WebSocketConnection, name, None)
    assert theirs is not None, f"WebSocketConnection.{name} is gone. {ADVICE}"
    assert getattr(Connection, name) is not theirs, f"we do not override {name} any more"
    if signature is not None:
        found = str(inspect.signature(theirs))
        assert found == signature, f"WebSocketConnection.{name} is now {found}. {ADVICE}"


@pytest.mark.parametrize("name", CALLED)
def test_what_we_call_is_there(name):
    assert inspect.iscoroutinefunction(getattr(WebSocketConnection, name, None)), (
        f"WebSocketConnection.{name} is gone, or not async. {ADVICE}"
    )


def test_we_override_nothing_else():
    """A private of ours that upstream comes to use for its own would be overridden by accident."""
    both = {
        name
        for name in vars(WebSocketConnection).keys() & vars(Connection).keys()
        if not name.startswith("__") and name != "_abc_impl"
    }
    assert both == set(OVERRIDDEN), ADVICE


@pytest.mark.parametrize(("name", "attributes"), READ_BY_UPSTREAM.items())
def test_what_upstreams_own_methods_read_is_what_we_set(name, attributes):
    member = getattr(WebSocketConnection, name)
    code = (member.fget if isinstance(member, property) else member).__code__
    read = {attribute for attribute in code.co_names if attribute.startswith(("_", "is_"))}
    read -= {"_preserve_current_exception", "_get_stream_endpoint", "__class__", "__name__"}
    assert read == set(attributes), f"WebSocketConnection.{name} reads {read}. {ADVICE}"


def test_upstreams_constructor_sets_what_we_use():
    ours, _theirs = trio.testing.memory_stream_pair()
    wsconnection = WSConnection(ConnectionType.SERVER)
    plain = vars(WebSocketConnection(ours, wsconnection, max_message_size=7))
    assert set(plain) == {
        "_close_handshake",
        "_close_reason",
        "_connection_proposal",
        "_for_testing_peer_closed_connection",
        "_handshake_headers",
        "_id",
        "_initial_request",
        "_max_message_size",
        "_message_parts",
        "_message_size",
        "_open_handshake",
        "_path",
        "_pings",
        "_reader_running",
        "_receive_buffer_size",
        "_recv_channel",
        "_reject_body",
        "_reject_headers",
        "_reject_status",
        "_send_channel",
        "_stream",
        "_stream_lock",
        "_subprotocol",
        "_wsproto",
    }, ADVICE
    assert plain["_max_message_size"] == 7
    assert plain["_stream"] is ours


def test_the_reader_of_wsproto_keeps_its_state_where_we_look():
    parser = Parser(ConnectionType.CLIENT)
    decoder = parser._proto._frame_decoder
    assert (decoder.header, parser._proto._message_decoder.opcode) == (None, None), ADVICE
    parser.receive_data(b"\x02\x05abc")
    (fragment,) = parser.events()
    assert fragment.data == b"abc", ADVICE
    assert (decoder.header.payload_len, decoder.payload_consumed) == (5, 3), ADVICE
    assert not decoder.header.opcode.iscontrol(), ADVICE
    parser.receive_data(b"de" + b"\x80\x01f" + b"\x89\x00rest")
    events = parser.events()
    assert next(events).data == b"de", ADVICE
    assert parser._proto._message_decoder.opcode is not None, ADVICE
    assert next(events).data == b"f", ADVICE
    # It reads no further than it is asked: the rest can be taken back.
    assert decoder.buffer.buffer == b"\x89\x00rest", ADVICE
    assert (decoder.header, parser._proto._message_decoder.opcode) == (None, None), ADVICE


def test_a_close_event_while_wsproto_is_open_is_its_verdict_on_what_came():
    parser = Parser(ConnectionType.CLIENT)
    parser.receive_data(b"\x83\x00")
    (verdict,) = parser.events()
    assert (verdict.code, parser.state) == (1002, wsproto.connection.ConnectionState.OPEN), ADVICE


def test_wsproto_refuses_1014_in_the_method_that_we_replace():
    """When it does not any more, _process_close has done its duty."""
    parser = Parser(ConnectionType.CLIENT)
    parser.receive_data(b"\x88\x02\x03\xf6")
    (verdict,) = parser.events()
    assert (verdict.code, parser.state) == (1002, wsproto.connection.ConnectionState.OPEN), ADVICE
    code = FrameProtocol._process_close.__code__
    assert (code.co_varnames[:2], "self" in code.co_names) == (("self", "frame"), False), ADVICE
    assert "_process_close" in FrameProtocol._parse_more_gen.__code__.co_names, ADVICE


def test_wsproto_asks_its_extensions_what_deflate_py_answers():
    asked = []

    class Asked(Extension):
        name = "asked"

        def enabled(self):
            return True

        def offer(self):
            return False

        def frame_inbound_header(self, proto, opcode, rsv, payload_length):
            asked.append((opcode, rsv.rsv1, payload_length))
            return RsvBits(rsv.rsv1, False, False)

        def frame_inbound_payload_data(self, proto, data):
            asked.append(data)
            return data * 2

        def frame_inbound_complete(self, proto, fin):
            asked.append(fin)
            return b"!"

    parser = Parser(ConnectionType.SERVER, [Asked()])
    parser.receive_data(b"\xc2\x83")
    assert list(parser.events()) == []
    parser.receive_data(bytes(4) + b"abc" + b"\x89\x80" + bytes(4))
    message, ping = parser.events()
    # The header twice: all of it was there only the second time. And control frames too.
    assert asked == [(2, True, 3), (2, True, 3), b"abc", True, (9, False, 0), b"", True], ADVICE
    assert (message.data, ping.payload) == (b"abcabc!", b"!"), ADVICE


def test_what_an_extension_raises_is_the_verdict_of_wsproto():
    class Refusing(Extension):
        name = "refusing"

        def enabled(self):
            return True

        def offer(self):
            return False

        def frame_inbound_header(self, proto, opcode, rsv, payload_length):
            raise ParseFailed("no", CloseReason.MESSAGE_TOO_BIG)

    parser = Parser(ConnectionType.CLIENT, [Refusing()])
    parser.receive_data(b"\x82\x00")
    (verdict,) = parser.events()
    state = wsproto.connection.ConnectionState.OPEN
    assert (verdict.code, verdict.reason, parser.state) == (1009, "no", state), ADVICE


def test_the_events_of_wsproto_are_of_the_types_that_we_look_for():
    assert {cls.__name__ for cls in wsproto.events.Message.__subclasses__()} == {
        "TextMessage",
        "BytesMessage",
    }, ADVICE


def test_trio_keeps_the_systems_socket_where_we_look():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        assert stream.socket._sock is ours, "trio has changed; see _raw_socket in connection.py"
