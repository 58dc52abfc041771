"""Encode what a script sends, decode what it receives, find values and patterns in both. Pure.

A message that is text or bytes goes as it is; anything else goes as JSON, in a text frame. A frame
that is JSON is handed out decoded, any other as its text or bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final

import msgspec

#: msgspec's exceptions for text that is no JSON, bytes that are no UTF-8, and endless nesting.
_NOT_JSON: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
_decode_json: Final = msgspec.json.Decoder().decode
_encode_json: Final = msgspec.json.Encoder().encode

Decode = Callable[[str | bytes], Any]
#: Tells whether a decoded frame is meant.
Fits = Callable[[Any], bool]
#: What says which frames are meant: what the frame is, or a function that tells.
Meant = Fits | str | bytes | None


#: What finds a value in a decoded frame: a JSON path, or a function.
Find = str | Callable[[Any], Any]


def decode(frame: str | bytes) -> Any:
    """Decode a frame if it is JSON; else return it as it is.

    Of binary frames only objects and arrays are: a byte or two may be a number by chance.
    """
    if frame.__class__ is bytes and not frame.startswith((b"{", b"[")):
        return frame
    try:
        return _decode_json(frame)
    except _NOT_JSON:
        return frame


def as_it_is(frame: str | bytes) -> Any:
    """Return a frame as it came."""
    return frame


def encode(message: Any) -> str | bytes:
    """Encode a message.

    :raises TypeError: if it is neither text, bytes nor anything that JSON can express.
    """
    if message.__class__ is str or message.__class__ is bytes:
        return message
    if isinstance(message, bytearray | memoryview):
        return bytes(message)
    return _encode_json(message).decode()


class KeyPath:
    """The place of the key by which a reply finds its request: in the message and in the reply.

    :param text: a path such as ``id`` or ``params.0.id``; ``id=result.id`` where it stands
        elsewhere in the reply.
    :ivar find_own: finds the key in a message; ``None`` if there is none. A key is a text, a number
        or a truth value.
    :ivar find_theirs: finds the key in a decoded frame; ``None`` if there is none.
    :raises ValueError: if the path has an empty part.
    """

    __slots__ = ("_own", "find_own", "find_theirs")

    def __init__(self, text: str) -> None:
        own, equals, theirs = text.partition("=")
        self._own = _split(own)
        self.find_own: Callable[[Any], Hashable | None] = _finder(self._own)
        self.find_theirs: Callable[[Any], Hashable | None] = (
            _finder(_split(theirs)) if equals else self.find_own
        )

    def put(self, message: Any, key: int) -> Any:
        """Return a copy of the message with this key in it.

        :raises ValueError: if there is no place for it.
        """
        return _put(message, self._own, key)


def _split(path: str) -> tuple[str, ...]:
    parts = tuple(path.split("."))
    if not all(parts):
        raise ValueError(f"{path!r} is not a path: write it like 'id' or 'params.0.id'")
    return parts


def _put(value: Any, parts: tuple[str, ...], key: int) -> Any:
    name, *rest = parts
    if value.__class__ is dict and not rest:  # nearly always
        return {**value, name: key}
    if isinstance(value, Mapping):
        return {**value, name: _put(value.get(name, {}), tuple(rest), key) if rest else key}
    raise ValueError(
        f"no key can be put at {'.'.join(parts)!r} of {value!r:.60}: give the message one, or say "
        "with reply= how its reply is known"
    )


def _finder(parts: tuple[str, ...]) -> Callable[[Any], Hashable | None]:
    if len(parts) == 1:
        (name,) = parts

        def find_there(value: Any) -> Hashable | None:
            if value.__class__ is not dict:
                return None
            found = value.get(name)
            # `_as_key`, without its call: this runs twice for each request.
            kind = found.__class__
            if kind is str or kind is int or kind is float:
                return found
            return (found,) if kind is bool else None

        return find_there

    def find(value: Any) -> Hashable | None:
        return _as_key(_follow(value, parts))

    return find


def _follow(value: Any, parts: tuple[str, ...]) -> Any:
    """Return the value at a path; ``None`` if there is none."""
    for part in parts:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _as_key(value: Any) -> Hashable | None:
    """Convert a value to a key that compares as in JSON; objects, arrays and null are none."""
    kind = value.__class__
    if kind is int or kind is str or kind is float:
        return value  # type: ignore[no-any-return]  # by its class
    return (value,) if kind is bool else None


def find_value(path: str) -> Callable[[Any], Any]:
    """Make a function that finds the value at a path of a decoded frame; ``None`` if there is none.

    :raises ValueError: if the path has an empty part.
    """
    parts = _split(path)
    return lambda value: _follow(value, parts)


def fits(meant: Meant, fields: Mapping[str, Any]) -> Fits:
    """Make a function that tells whether a decoded frame is meant.

    :param meant: the frame itself, or a function that tells; ``None``: only the fields count.
    :param fields: values that have to stand at these paths; none: any frame.
    """
    tests = [_fits_field(path, wanted) for path, wanted in fields.items()]
    if callable(meant):
        tests.append(meant)
    elif meant is not None:
        tests.append(lambda value: value.__class__ is meant.__class__ and value == meant)
    if len(tests) == 1:
        return tests[0]
    return lambda value: all(test(value) for test in tests)


def _fits_field(path: str, wanted: Any) -> Fits:
    is_bool = isinstance(wanted, bool)
    if "." not in path:

        def fits_there(value: Any) -> bool:
            if value.__class__ is not dict or path not in value:
                return False
            found = value[path]
            return bool(found == wanted) and isinstance(found, bool) is is_bool

        return fits_there
    parts = _split(path)

    def fits_deep(value: Any) -> bool:
        found = _follow(value, parts)
        return bool(found == wanted) and isinstance(found, bool) is is_bool

    return fits_deep


def shorten(value: Any, at_most: int = 80) -> str:
    """Show a message or frame in one line."""
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= at_most else f"{text[: at_most - 1]}…"
