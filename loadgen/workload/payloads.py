"""Make messages from templates: each names its socket and its number, so that all differ."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final

from echo_trio import files

DEFAULT_TEMPLATE: Final = "{conn}-{seq}"
#: The size to which the default message is padded.
DEFAULT_SIZE_BYTES: Final = 32
#: Room for messages that a server is to refuse.
MAX_MESSAGE_FILE_BYTES: Final = 64 * 2**20
#: Neither a digit nor a space, so that padding can't be taken for a number or a suffix.
PADDING: Final = "."

_KNOWN: Final = ("conn", "seq", "now", "random", "room")
_PLACEHOLDER: Final = re.compile(rf"\{{({'|'.join(_KNOWN)})\}}")
#: A literal brace, written twice, or a placeholder.
_BRACES: Final = re.compile(rf"\{{\{{|\}}\}}|{_PLACEHOLDER.pattern}")
#: Braces around a lower-case word, as in GraphQL, or a placeholder that is misspelt; and before
#: these a brace that is written twice, whose word is none.
_LIKE_A_PLACEHOLDER: Final = re.compile(r"\{\{|\{([a-z]+)\}")
#: No number in a message is longer; a reply may bring one of a million digits.
_NUMBER: Final = "0|[1-9][0-9]{0,18}"
#: Odd constants that spread (seed, socket, sequence number) over 32 bits.
_MIX: Final = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)


def read_template(path: str) -> bytes:
    """Read the file of --message-file.

    :raises ValueError: if it can't be read.
    """
    try:
        return files.read(path, at_most=MAX_MESSAGE_FILE_BYTES)
    except OSError as exc:
        raise ValueError(f"can't read --message-file {path}: {exc.strerror}") from None


def _encoded(message: str | bytes) -> bytes:
    return message if isinstance(message, bytes) else message.encode()


class Payloads:
    """The messages of a run: message `seq` of socket `conn`, both from 0.

    Binary messages are bytes outside and text with a letter for each byte (Latin-1) inside, so that
    templates and verification are the same for both.

    :param template: the template of a message, with the placeholders ``{conn}``, ``{seq}``,
        ``{now}`` (Unix time in milliseconds), ``{random}`` (fixed by seed, socket and number) and
        ``{room}``. All other braces are part of the message. In text, ``{{`` is one brace, and so
        is the ``}}`` that closes it; in bytes, which come from a file, they stay as they are.
    :param size_bytes: pad shorter messages to this; longer ones stay as they are.
    :param sockets: the number of sockets; ``None`` if that is not known.
    :param binary: send binary messages.
    :param rooms: the number of rooms among which the sockets are dealt out in turn.
    :ivar sockets: the number of sockets; ``None`` if that is not known.
    :ivar notes: possible mistakes in the template, in a line each.
    :ivar names: the placeholders in it.
    :ivar has_sequence: true if a message contains its number. Otherwise messages of a socket that
        differ only by time or at random are not recognised again once they have been answered.
    :raises ValueError: for text that can't be sent.
    """

    def __init__(
        self,
        template: str | bytes,
        *,
        size_bytes: int = 0,
        seed: int = 0,
        sockets: int | None = 1,
        binary: bool = False,
        rooms: int = 1,
    ) -> None:
        text = _decode(template, binary=binary)
        # Even parts are text, odd ones are placeholders.
        parts = _PLACEHOLDER.split(text) if isinstance(template, bytes) else _split(text)
        names = parts[1::2]
        self.notes = () if isinstance(template, bytes) else _find_odd_names(text)
        self.names: frozenset[str] = frozenset(names)
        self._rooms = rooms
        self.is_binary = binary
        self._size_bytes = size_bytes
        self._seed = seed
        self.changes_with_time: bool = "now" in names
        self.sockets = sockets
        self.has_sequence: bool = "seq" in names
        self._format = self._compile(parts)
        self._pattern = self._compile_pattern(parts)
        if size_bytes and (longer := len(_encoded(self.render(0, 0)))) > size_bytes:
            self.notes += (
                f"--size {size_bytes} is less than a message has ({longer} bytes): none is cut",
            )

    def render(self, conn: int, seq: int) -> str | bytes:
        """Make the message to send now."""
        text = self._render_text(conn, seq)
        return text.encode("latin-1") if self.is_binary else text

    def text_of(self, message: str | bytes) -> str | None:
        """Convert a message or reply to the text of templates; ``None`` if the opcode is wrong."""
        if isinstance(message, str):
            return None if self.is_binary else message
        return message.decode("latin-1") if self.is_binary else None

    def find_sequence(self, text: str, conn: int, sent: int) -> int | None:
        """Find which of the first `sent` messages of this socket a text is; ``None`` if it is none.

        Of equal messages, the last one.
        """
        found = self._pattern.fullmatch(text)
        if found is None or sent == 0:
            return None
        groups = found.groupdict()
        seq = int(groups["seq"]) if self.has_sequence else sent - 1
        if seq >= sent or int(groups.get("conn", conn)) != conn:
            return None
        return seq if self.changes_with_time or self._render_text(conn, seq) == text else None

    def find_key(self, text: str) -> tuple[int, int] | None:
        """Find which message a text is: its socket and number; ``None`` if it is none of the run's.

        For templates that contain both.
        """
        found = self._pattern.fullmatch(text)
        if found is None:
            return None
        conn, seq = int(found["conn"]), int(found["seq"])
        if self.sockets is not None and conn >= self.sockets:
            return None
        if not self.changes_with_time and self._render_text(conn, seq) != text:
            return None
        return conn, seq

    def is_anothers(self, text: str, conn: int) -> bool:
        """Tell whether another socket of this run could have sent this."""
        found = self._pattern.fullmatch(text)
        if found is None:
            return False
        if (sender := found.groupdict().get("conn")) is None:
            return True
        return int(sender) != conn and (self.sockets is None or int(sender) < self.sockets)

    def _render_text(self, conn: int, seq: int) -> str:
        text = self._format(conn, seq)
        missing = self._size_bytes - len(text)
        if missing > 0:
            if not self.is_binary and not text.isascii():
                missing = self._size_bytes - len(text.encode())
            text += PADDING * missing
        return text

    def _random(self, conn: int, seq: int) -> int:
        mixed = (self._seed * _MIX[0] + conn * _MIX[1] + seq * _MIX[2]) & 0xFFFFFFFF
        return (mixed ^ (mixed >> 15)) * _MIX[0] & 0xFFFFFFFF

    def _compile(self, parts: list[str]) -> Callable[[int, int], str]:
        if parts == _DEFAULT_PARTS:
            return lambda conn, seq: f"{conn}-{seq}"
        if len(parts) == 1:
            return lambda _conn, _seq: parts[0]
        fill: dict[str, Callable[[int, int], object]] = {
            "conn": lambda conn, _: conn,
            "seq": lambda _, seq: seq,
            "now": lambda _conn, _seq: time.time_ns() // 1_000_000,
            "random": self._random,
            "room": lambda conn, _: conn % self._rooms,
        }
        texts, fills = parts[0::2], [fill[name] for name in parts[1::2]]

        def format_(conn: int, seq: int) -> str:
            pieces = [texts[0]]
            for filled, text in zip(fills, texts[1:], strict=True):
                pieces += (str(filled(conn, seq)), text)
            return "".join(pieces)

        return format_

    def _compile_pattern(self, parts: list[str]) -> re.Pattern[str]:
        pattern, seen = re.escape(parts[0]), set()
        for name, text in zip(parts[1::2], parts[2::2], strict=True):
            pattern += rf"(?P={name})" if name in seen else rf"(?P<{name}>{_NUMBER})"
            pattern += re.escape(text)
            seen.add(name)
        padding = re.escape(PADDING) + "*" if self._size_bytes else ""
        return re.compile(pattern + padding)


def _decode(template: str | bytes, *, binary: bool) -> str:
    """Convert the template to text; for binary messages, with a letter for each byte."""
    if isinstance(template, bytes):
        try:
            return template.decode("latin-1" if binary else "utf-8")
        except UnicodeDecodeError:
            raise ValueError(
                "--message-file is not valid UTF-8, as a text message has to be: add --binary"
            ) from None
    try:
        encoded = template.encode()
    except UnicodeEncodeError:
        raise ValueError("--message is not valid UTF-8, as a text message has to be") from None
    return encoded.decode("latin-1") if binary else template


def _split(text: str) -> list[str]:
    """Take a template apart: even parts are text, odd ones are placeholders.

    A ``}}`` without a ``{{`` before it is no escape: nested JSON ends like that.
    """
    parts, at, escaped = [""], 0, 0
    for found in _BRACES.finditer(text):
        parts[-1] += text[at : found.start()]
        at = found.end()
        if found[1]:
            parts += (found[1], "")
        elif found[0] == "{{":
            parts[-1] += "{"
            escaped += 1
        elif escaped:
            parts[-1] += "}"
            escaped -= 1
        else:
            parts[-1] += "}}"
    parts[-1] += text[at:]
    return parts


_DEFAULT_PARTS: Final = _split(DEFAULT_TEMPLATE)


def _find_odd_names(text: str) -> tuple[str, ...]:
    """List what looks like a placeholder and is none, unless its brace was doubled for that."""
    names = dict.fromkeys(filter(None, _LIKE_A_PLACEHOLDER.findall(text)))
    known = ", ".join(f"{{{name}}}" for name in _KNOWN)
    return tuple(
        f"{{{name}}} is no placeholder and is sent as it is; there are {known}"
        for name in names
        if name not in _KNOWN
    )
