"""The codec of plain frames, by hand-made examples (RFC 6455, section 5.7)."""

from __future__ import annotations

import os

import pytest

from echo_trio.wire import frames
from echo_trio.wire.close_codes import NO_STATUS, may_be_sent

MASKED_HELLO = bytes.fromhex("8185 37fa213d 7f9f4d5158")
HELLO = bytes.fromhex("8105 48656c6c6f")


@pytest.mark.parametrize(
    ("data", "masked", "message"),
    [
        pytest.param(HELLO, False, "Hello", id="text"),
        pytest.param(MASKED_HELLO, True, "Hello", id="masked text"),
        pytest.param(b"\x82\x00", False, b"", id="empty binary"),
        pytest.param(b"\x82\x7e\x01\x00" + bytes(256), False, bytes(256), id="256 bytes"),
        pytest.param(
            b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + bytes(65536),
            False,
            bytes(65536),
            id="65536 bytes",
        ),
    ],
)
def test_a_plain_frame_is_decoded(data, masked, message):
    size = len(message)
    assert frames.decode(data, 0, masked) == (message, size, len(data))
    assert frames.decode(b"??" + data + b"??", 2, masked) == (message, size, len(data) + 2)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(HELLO[:1], id="one byte"),
        pytest.param(HELLO[:-1], id="not all of it"),
        pytest.param(MASKED_HELLO, id="masked the wrong way"),
        pytest.param(b"\x01" + HELLO[1:], id="a fragment"),
        pytest.param(b"\xc1" + HELLO[1:], id="RSV1"),
        pytest.param(b"\x89" + HELLO[1:], id="a ping"),
        pytest.param(b"\x83" + HELLO[1:], id="an unknown opcode"),
        pytest.param(b"\x81\x01\xff", id="not UTF-8"),
        pytest.param(b"\x82\x7e\x00\x7d" + bytes(125), id="16 bits for 125"),
        pytest.param(b"\x82\x7f" + bytes(6) + b"\xff\xff" + bytes(65535), id="64 bits for 65535"),
    ],
)
def test_whatever_else_is_declined(data):
    assert frames.decode(data, 0, masked=False) is None


@pytest.mark.parametrize("masked", [False, True], ids=["unmasked", "masked"])
@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_a_header_is_waited_for_byte_by_byte(size, masked):
    data = frames.encode(bytes(size), masked)
    header_bytes = len(data) - size
    for there in range(header_bytes):
        missing = frames.begin(data[:there], 0, masked)
        assert isinstance(missing, int)
        assert 0 < missing <= header_bytes - there
    if size:
        partial, start = frames.begin(data[:header_bytes], 0, masked)
        assert (partial.size, partial.missing, start) == (size, size, header_bytes)


def test_a_partial_message_takes_parts_of_any_size():
    text = "Grüße, 世界 🌍" * 100
    data = frames.encode(text, masked=True)
    partial, start = frames.begin(data[:8], 0, masked=True)
    for at in range(start, len(data)):
        assert partial.missing == len(data) - at
        partial.feed(data[at : at + 1])
    assert (partial.missing, partial.message()) == (0, text)


def test_many_small_parts_do_not_cost_an_object_each():
    size = 100_000
    data = frames.encode(bytes(size), masked=False)
    partial, start = frames.begin(data[:20], 0, masked=False)
    for at in range(start, len(data), 2):
        partial.feed(data[at : at + 2])
        assert len(partial._parts) <= 1024
    assert partial.message() == bytes(size)


def test_a_partial_text_is_refused_at_its_first_wrong_byte():
    partial, _ = frames.begin(b"\x81\x05", 0, masked=False)
    partial.feed(b"ok")
    with pytest.raises(UnicodeDecodeError):
        partial.feed(b"\xff")


def test_a_partial_text_may_not_end_within_a_character():
    partial, _ = frames.begin(b"\x81\x02", 0, masked=False)
    with pytest.raises(UnicodeDecodeError):
        partial.feed(b"x\xc3")


@pytest.mark.parametrize(
    ("message", "encoded"),
    [
        pytest.param("Hello", HELLO, id="text"),
        pytest.param("", b"\x81\x00", id="empty text"),
        pytest.param(b"\x00\xff", b"\x82\x02\x00\xff", id="binary"),
        pytest.param("x" * 125, b"\x81\x7d" + b"x" * 125, id="125"),
        pytest.param("x" * 126, b"\x81\x7e\x00\x7e" + b"x" * 126, id="126"),
        pytest.param(bytes(65535), b"\x82\x7e\xff\xff" + bytes(65535), id="65535"),
        pytest.param(bytes(65536), b"\x82\x7f" + bytes(5) + b"\x01\0\0" + bytes(65536), id="65536"),
    ],
)
def test_a_message_is_encoded_as_the_shortest_frame(message, encoded):
    assert frames.encode(message, masked=False) == encoded


def test_every_masked_frame_has_a_key_of_its_own():
    keys = {frames.encode(b"x", masked=True)[2:6] for _ in range(5000)}
    assert len(keys) > 4990


def test_a_forked_process_does_not_repeat_its_parents_keys():
    frames.encode(b"x", masked=True)
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writer, frames.encode(b"x", masked=True))
        os._exit(0)
    os.waitpid(child, 0)
    ours, theirs = frames.encode(b"x", masked=True), os.read(reader, 100)
    os.close(reader)
    os.close(writer)
    assert ours[2:6] != theirs[2:6]


def test_a_control_frame_holds_125_bytes():
    assert frames.encode_control(frames.PING, b"x" * 125, masked=False)[:2] == b"\x89\x7d"
    with pytest.raises(ValueError, match="126"):
        frames.encode_control(frames.PING, b"x" * 126, masked=False)


@pytest.mark.parametrize(
    ("code", "reason", "payload"),
    [
        pytest.param(1000, None, b"\x03\xe8", id="no reason"),
        pytest.param(1001, "bye", b"\x03\xe9bye", id="a reason"),
        pytest.param(NO_STATUS, None, b"", id="no code"),
        pytest.param(4000, "x" * 200, b"\x0f\xa0" + b"x" * 123, id="cut"),
        pytest.param(4000, "é" * 62, b"\x0f\xa0" + "é".encode() * 61, id="cut at a character"),
    ],
)
def test_a_close_frame_carries_code_and_reason(code, reason, payload):
    assert frames.encode_close(code, reason, masked=False) == bytes((0x88, len(payload))) + payload


def test_a_close_frame_without_a_code_has_no_reason():
    with pytest.raises(ValueError, match="no reason"):
        frames.encode_close(NO_STATUS, "because", masked=False)


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1006, 1015, 1016, 2999, 5000, 70_000])
def test_some_codes_are_never_sent(code):
    assert not may_be_sent(code)
    with pytest.raises(ValueError, match=str(code)):
        frames.encode_close(code, None, masked=False)
