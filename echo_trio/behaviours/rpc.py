"""Answer JSON-RPC 2.0 (https://www.jsonrpc.org/specification): echo, wait, time, fail. Pure.

Parameters and ids are passed on as they are written, without being made into Python's values: a
large message costs no more memory than its text, and a number comes back with all its digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from echo_trio.behaviours.actions import Action, Reply
from echo_trio.behaviours.scripts import Script, Stage
from echo_trio.behaviours.transform import NextSuffix

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
#: The first of those that the standard leaves to servers.
SERVER_ERROR: Final = -32000

_MESSAGES: Final = {
    PARSE_ERROR: b"Parse error",
    INVALID_REQUEST: b"Invalid Request",
    METHOD_NOT_FOUND: b"Method not found",
    INVALID_PARAMS: b"Invalid params",
    SERVER_ERROR: b"Server error",
}
#: The longest that `wait` waits.
MAX_WAIT_MS: Final = 3_600_000
#: The most calls of a batch, which is answered in one turn: a third of a millisecond of work. One
#: of two bytes is answered with eighty, so that a message of a megabyte would make forty of them.
MAX_BATCH: Final = 100
#: A longer message ends its connection's turn: it may be a batch, or as much to parse as one.
_CALL_BYTES: Final = 1024
#: A longer method, or number of milliseconds, is none of ours.
_MAX_VALUE_BYTES: Final = 64
_NULL: Final = b"null"


class _Call(msgspec.Struct):
    """A call, its members as they are written; other members are ignored."""

    jsonrpc: msgspec.Raw = msgspec.Raw()
    method: msgspec.Raw = msgspec.Raw()
    params: msgspec.Raw = msgspec.Raw()
    id: msgspec.Raw = msgspec.Raw()


class _WaitParams(msgspec.Struct):
    """The parameters of `wait`."""

    ms: msgspec.Raw


# One member for each call, so that parsing ends at the first too many.
_Batch: Final = msgspec.defstruct(
    "_Batch",
    [(f"call_{n}", msgspec.Raw, msgspec.Raw()) for n in range(MAX_BATCH)],
    array_like=True,
    forbid_unknown_fields=True,
)
_ANYTHING: Final = msgspec.json.Decoder(msgspec.Raw)
_CALL: Final = msgspec.json.Decoder(_Call)
_BATCH: Final = msgspec.json.Decoder(_Batch)
_WAIT: Final = msgspec.json.Decoder(_WaitParams)
_VALUE: Final = msgspec.json.Decoder()


class _Answer(NamedTuple):
    """The answer to a call, and how much later it is given."""

    text: bytes
    wait_s: float = 0.0


@dataclass(eq=False)
class _Rpc(Script):
    """Answer calls; some of them later, and others meanwhile."""

    _stage: Stage = field(init=False)

    at_once = True

    def enter(self, stage: Stage) -> None:
        self._stage = stage

    def received(self, message: str | bytes) -> Sequence[Action]:
        answer = answer_to(message, self._stage.unix_ms())
        if len(message) > _CALL_BYTES:
            self._stage.end_turn()
        if answer is None:
            return ()
        reply = answer.text.decode() if isinstance(message, str) else answer.text
        if not answer.wait_s:
            return (Reply(reply),)
        self._stage.answer_at(self._stage.now_s() + answer.wait_s, reply)
        return ()


def rpc(_: NextSuffix) -> Script:
    """Answer JSON-RPC 2.0."""
    return _Rpc()


def answer_to(message: str | bytes, now_ms: int) -> _Answer | None:
    """Answer a call or a batch of calls; ``None`` if it was notifications alone.

    The answer to a batch comes when all calls in the batch are answered.

    :param now_ms: what `time` answers.
    """
    try:
        text = message.encode() if isinstance(message, str) else message
        text.decode()  # The parser doesn't look at the bytes of what it passes over.
        text = bytes(_ANYTHING.decode(text))
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, as is UnicodeError.
        return _Answer(_error(PARSE_ERROR, _NULL))
    if text[:1] != b"[":
        return _answer_to_call(text, now_ms)
    try:
        calls = [call for call in msgspec.structs.astuple(_BATCH.decode(text)) if bytes(call)]
    except ValueError:
        calls = []
    if not calls:
        why = f"a batch has from 1 to {MAX_BATCH} calls"
        return _Answer(_error(INVALID_REQUEST, _NULL, why))
    answers = [a for call in calls if (a := _answer_to_call(bytes(call), now_ms)) is not None]
    if not answers:
        return None
    whole = b"[" + b", ".join(answer.text for answer in answers) + b"]"
    return _Answer(whole, max(answer.wait_s for answer in answers))


def _answer_to_call(text: bytes, now_ms: int) -> _Answer | None:
    try:
        call = _CALL.decode(text)
    except ValueError:
        return _Answer(_error(INVALID_REQUEST, _NULL, "a call is an object"))
    id_, params = bytes(call.id), bytes(call.params)
    if id_ and id_[:1] in b"[{tf":
        return _Answer(_error(INVALID_REQUEST, _NULL, "an id is a string, a number or null"))
    if _value_of(call.jsonrpc) != "2.0":
        why = 'jsonrpc has to be "2.0"'
    elif bytes(call.method)[:1] != b'"':
        why = "method has to be a string"
    elif params and params[:1] not in b"[{":
        why = "params are an array or an object"
    else:
        if not id_:
            return None  # A notification.
        return _call(_value_of(call.method), params, id_, now_ms)
    return _Answer(_error(INVALID_REQUEST, id_ or _NULL, why))


def _call(method: str | None, params: bytes, id_: bytes, now_ms: int) -> _Answer:
    if method == "echo":
        return _Answer(_result(params or _NULL, id_))
    if method == "time":
        return _Answer(_result(b"%d" % now_ms, id_))
    if method == "wait":
        wait_ms = _wait_ms_of(params)
        if wait_ms is None:
            why = f'wait takes {{"ms": n}}, n from 0 to {MAX_WAIT_MS}'
            return _Answer(_error(INVALID_PARAMS, id_, why))
        return _Answer(_result(params or _NULL, id_), wait_ms / 1000)
    if method == "fail":
        return _Answer(_error(SERVER_ERROR, id_, "it was asked to fail"))
    return _Answer(_error(METHOD_NOT_FOUND, id_, "there are echo, wait, time and fail"))


def _wait_ms_of(params: bytes) -> float | None:
    try:
        ms = _value_of(_WAIT.decode(params).ms)
    except ValueError:
        return None
    is_number = isinstance(ms, int | float) and not isinstance(ms, bool)
    return ms if is_number and 0 <= ms <= MAX_WAIT_MS else None


def _value_of(raw: msgspec.Raw) -> Any:
    """Return the value if it is a short text or number, ``None`` if it is anything else."""
    text = bytes(raw)
    if not text or len(text) > _MAX_VALUE_BYTES or text[:1] in b"[{":
        return None
    try:
        return _VALUE.decode(text)
    except ValueError:  # A number that no computer has room for.
        return None


def _result(value: bytes, id_: bytes) -> bytes:
    return b'{"jsonrpc": "2.0", "result": %b, "id": %b}' % (value, id_)


def _error(code: int, id_: bytes, why: str | None = None) -> bytes:
    error = b'"code": %d, "message": "%b"' % (code, _MESSAGES[code])
    if why is not None:
        error += b', "data": %b' % msgspec.json.encode(why)
    return b'{"jsonrpc": "2.0", "error": {%b}, "id": %b}' % (error, id_)
