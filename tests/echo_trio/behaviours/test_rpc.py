"""JSON-RPC 2.0: the standard's own examples, and what a hostile or a careless client may send."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_trio.behaviours.actions import Reply
from echo_trio.behaviours.rpc import MAX_BATCH, MAX_WAIT_MS, _wait_ms_of, answer_to, rpc

from .acting import Acting

NOW_MS = 1_700_000_000_123
PARSE, INVALID, NOT_FOUND, PARAMS, FAILED = -32700, -32600, -32601, -32602, -32000


def answer(message: str | bytes) -> Any:
    answered = answer_to(message, NOW_MS)
    return None if answered is None else json.loads(answered.text)


def call(method: str, **more: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, **more}


def error_of(message: Any) -> tuple[int, Any]:
    text = message if isinstance(message, str | bytes) else json.dumps(message)
    answered = answer(text)
    assert answered["jsonrpc"] == "2.0"
    assert "result" not in answered
    return answered["error"]["code"], answered["id"]


@pytest.mark.parametrize(
    ("method", "more", "result"),
    [
        ("echo", {"params": [1, "é", None]}, [1, "é", None]),
        ("echo", {"params": {"a": [{}]}}, {"a": [{}]}),
        ("echo", {}, None),
        ("time", {}, NOW_MS),
        ("time", {"params": []}, NOW_MS),
        ("wait", {"params": {"ms": 0, "why": "no"}}, {"ms": 0, "why": "no"}),
    ],
)
@pytest.mark.parametrize("id_", ["a", "", 7, 1.5, -1, None])
def test_a_call_is_answered_with_its_id(method, more, result, id_):
    answered = answer(json.dumps(call(method, **more, id=id_)))
    assert answered == {"jsonrpc": "2.0", "result": result, "id": id_}


def test_params_and_id_come_back_as_they_were_written():
    text = (
        '{"jsonrpc":"2.0","method":"echo","params":[1.50, 1e3, 12345678901234567890123],"id":1e999}'
    )
    answered = answer_to(text, NOW_MS)
    assert answered is not None
    assert answered.text == (
        b'{"jsonrpc": "2.0", "result": [1.50, 1e3, 12345678901234567890123], "id": 1e999}'
    )


@pytest.mark.parametrize("method", ["echo", "fail", "wait", "nothing"])
def test_a_notification_gets_nothing_even_if_it_fails(method):
    assert answer(json.dumps(call(method))) is None
    assert answer(json.dumps([call(method), call(method)])) is None


@pytest.mark.parametrize(
    "message",
    [
        '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]',
        '[{"jsonrpc": "2.0", "method": "sum", "id": "1"},{"jsonrpc": "2.0", "method"]',
        "", " ", "{", "nul", "{} {}", "[1,]", "{'a': 1}", "NaN", b"\xff", b'["\xff"]',
        b'{"jsonrpc": "2.0", "method": "echo", "id": 1, "params": ["\xc3"]}',
        "[" * 100_000, '{"a":' * 100_000,
    ],
    ids=lambda message: repr(message[:25]),
)  # fmt: skip
def test_what_is_no_json_is_a_parse_error_without_id(message):
    assert error_of(message) == (PARSE, None)


@pytest.mark.parametrize(
    ("message", "id_"),
    [
        ('{"jsonrpc": "2.0", "method": 1, "params": "bar"}', None),
        ('{"foo": "boo"}', None),
        ("1", None), ('"a"', None), ("null", None), ("true", None),
        (call("echo", params="bar", id=1), 1),
        (call("echo", params=None, id=1), 1),
        ({"jsonrpc": "1.0", "method": "echo", "id": 2}, 2),
        ({"jsonrpc": 2.0, "method": "echo", "id": 2}, 2),
        ({"method": "echo", "id": "3"}, "3"),
        ({"jsonrpc": "2.0", "id": 4}, 4),
        (call("echo", id=[1]), None), (call("echo", id={}), None),
        (call("echo", id=True), None), (call("echo", id=False), None),
    ],
)  # fmt: skip
def test_what_is_no_call_is_an_invalid_request(message, id_):
    assert error_of(message) == (INVALID, id_)


@pytest.mark.parametrize("method", ["foobar", "rpc.echo", "", "Echo", "x" * 1000, "\n"])
def test_another_method_is_not_found(method):
    assert error_of(call(method, id=1)) == (NOT_FOUND, 1)


def test_fail_fails():
    assert error_of(call("fail", id=1)) == (FAILED, 1)


@pytest.mark.parametrize(
    "params",
    [{}, [], [300], {"ms": "300"}, {"ms": None}, {"ms": True}, {"ms": [1]}, {"ms": -1},
     {"ms": MAX_WAIT_MS + 1}, {"MS": 1}],
)  # fmt: skip
def test_wait_without_a_number_that_it_can_wait_has_invalid_params(params):
    assert error_of(call("wait", params=params, id=1)) == (PARAMS, 1)


@pytest.mark.parametrize("ms", ["1e999", "9" * 5000])
def test_a_number_that_is_none_for_a_computer_is_no_time_to_wait(ms):
    text = json.dumps(call("wait", params={"ms": 1}, id=1)).replace('"ms": 1', f'"ms": {ms}')
    assert error_of(text) == (PARAMS, 1)


def test_the_batch_of_the_standard():
    calls = [
        call("echo", params=[1, 2, 4], id="1"),
        call("time", params=[7]),
        call("echo", params=[42, 23], id="2"),
        {"foo": "boo"},
        call("foo.get", params={"name": "myself"}, id="5"),
        call("time", id="9"),
    ]
    answers = answer(json.dumps(calls))
    assert [(a["id"], a.get("result", a.get("error", {}).get("code"))) for a in answers] == [
        ("1", [1, 2, 4]), ("2", [42, 23]), (None, INVALID), ("5", NOT_FOUND), ("9", NOW_MS)
    ]  # fmt: skip
    assert [a["error"]["code"] for a in answer("[1,2,3]")] == [INVALID] * 3


def test_a_batch_has_one_call_at_least_and_not_too_many():
    assert error_of("[]") == (INVALID, None)
    assert len(answer(json.dumps([1] * MAX_BATCH))) == MAX_BATCH
    assert error_of(json.dumps([1] * (MAX_BATCH + 1))) == (INVALID, None)
    assert error_of(json.dumps([1] * 500_000)) == (INVALID, None)


def test_a_batch_is_one_turns_work_and_a_call_is_not():
    acting = Acting(rpc(lambda: 0))
    list(acting.received(json.dumps(call("echo", id=1))))
    assert acting.stage.turns_ended == 0
    list(acting.received(json.dumps([call("echo", id=1)] * MAX_BATCH)))
    assert acting.stage.turns_ended == 1


def test_a_wait_is_answered_later_and_a_batch_when_all_of_it_is():
    acting = Acting(rpc(lambda: 0))
    assert list(acting.received(json.dumps(call("wait", params={"ms": 250}, id=1)))) == []
    batch = [call("wait", params={"ms": ms}, id=ms) for ms in (10, 1500, 20)]
    assert list(acting.received(json.dumps([*batch, call("echo", id=3)]).encode())) == []
    (first_s, first), (second_s, second) = acting.stage.due
    assert (first_s, second_s) == (1000.25, 1001.5)
    assert [json.loads(reply.message)["id"] for reply in first()] == [1]
    (reply,) = second()
    assert isinstance(reply.message, bytes)
    assert [answered["id"] for answered in json.loads(reply.message)] == [10, 1500, 20, 3]


def test_text_is_answered_with_text_and_binary_with_binary():
    acting = Acting(rpc(lambda: 0))
    text = json.dumps(call("echo", id=1))
    for message in (text, text.encode()):
        (reply,) = acting.received(message)
        assert isinstance(reply, Reply)
        assert type(reply.message) is type(message)


@given(st.text(max_size=60) | st.binary(max_size=60))
def test_whatever_comes_is_answered_with_json_or_with_nothing(message):
    answered = answer_to(message, NOW_MS)
    assert answered is None or json.loads(answered.text)


@pytest.mark.parametrize(
    ("ms", "is_wait"),
    [
        ("0", True), ("0.5", True), (f"{MAX_WAIT_MS}", True), (f"{MAX_WAIT_MS + 1}", False),
        ("-1", False), ("true", False), ("null", False), ('"1"', False),
    ],
)  # fmt: skip
def test_a_wait_is_from_nothing_to_the_longest(ms: str, is_wait: bool) -> None:
    found = _wait_ms_of(b'{"ms": %b}' % ms.encode())
    assert found == (float(ms) if is_wait else None)


def failure(code: int, message: str, why: str | None, id_: Any) -> dict[str, Any]:
    data = {} if why is None else {"data": why}
    return {"jsonrpc": "2.0", "error": {"code": code, "message": message, **data}, "id": id_}


INVALID_REQUEST = (INVALID, "Invalid Request")


@pytest.mark.parametrize(
    ("message", "answered"),
    [
        ("{", failure(PARSE, "Parse error", None, None)),
        ("[]", failure(*INVALID_REQUEST, "a batch has from 1 to 100 calls", None)),
        ("1", failure(*INVALID_REQUEST, "a call is an object", None)),
        (
            json.dumps(call("echo", id=[])),
            failure(*INVALID_REQUEST, "an id is a string, a number or null", None),
        ),
        ('{"id": 1}', failure(*INVALID_REQUEST, 'jsonrpc has to be "2.0"', 1)),
        (
            '{"jsonrpc": "2.0", "id": 1}',
            failure(*INVALID_REQUEST, "method has to be a string", 1),
        ),
        (
            json.dumps(call("echo", params=1)),
            failure(*INVALID_REQUEST, "params are an array or an object", None),
        ),
        (
            json.dumps(call("x", id=1)),
            failure(NOT_FOUND, "Method not found", "there are echo, wait, time and fail", 1),
        ),
        (
            json.dumps(call("wait", id=1)),
            failure(PARAMS, "Invalid params", 'wait takes {"ms": n}, n from 0 to 3600000', 1),
        ),
        (
            json.dumps(call("fail", id=1)),
            failure(FAILED, "Server error", "it was asked to fail", 1),
        ),
    ],
)
def test_an_error_says_what_is_wrong(message: str, answered: dict[str, Any]) -> None:
    assert answer(message) == answered


@pytest.mark.parametrize("size", [1024, 1025])
def test_a_message_above_a_kilobyte_ends_the_turn_whatever_is_in_it(size: int) -> None:
    acting = Acting(rpc(lambda: 0))
    for number, pad in enumerate(
        (" " * (size - 2) + "{}", json.dumps(call("echo")).ljust(size)), 1
    ):
        list(acting.received(pad))
        assert acting.stage.turns_ended == (number if size > 1024 else 0)
    assert acting.script.at_once


def test_a_batch_of_notifications_and_waits_is_answered_when_the_longest_is_over() -> None:
    acting = Acting(rpc(lambda: 0))
    waits = [call("wait", params={"ms": 5000}), call("wait", params={"ms": 300}, id=1)]
    list(acting.received(json.dumps(waits)))
    ((due_s, _),) = acting.stage.due  # Nobody waits for what is not answered.
    assert due_s == 1000.3


@pytest.mark.parametrize(("ms", "wait_s"), [(0.5, 0.0005), (999, 0.999), (3_600_000, 3600)])
def test_a_wait_is_as_long_as_it_was_asked_for(ms: float, wait_s: float) -> None:
    answered = answer_to(json.dumps(call("wait", params={"ms": ms}, id=1)), NOW_MS)
    assert answered is not None
    assert answered.wait_s == wait_s
