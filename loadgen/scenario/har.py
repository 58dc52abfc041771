"""Make a scenario of recorded traffic; pure.

Times between messages become sleeps. A message whose id comes back in a frame becomes a request,
other frames that come are streamed. What looks like a secret is taken out, and stands for a column
of a file that has a row for each user.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from loadgen.scenario import traffic
from loadgen.scenario.traffic import Message, Traffic

#: Where servers put the number of a call, the most usual first.
ID_NAMES: Final = ("id", "requestId", "request_id", "reqId", "seq", "ref")
#: What is in members and parameters of these names is a secret.
_SECRET: Final = re.compile(
    r"token|secret|password|passwd|authorization|api[-_]?key|session|credential|cookie|jwt",
    re.IGNORECASE,
)
#: A pause that is shorter is the machine's, and not the user's.
MIN_PAUSE_S: Final = 0.05
#: A text frame that is longer is not written into the script whole.
MAX_TEXT: Final = 20_000


@dataclass
class Secrets:
    """Keep the values that were taken out, by the column that stands for each."""

    columns: dict[str, str] = field(default_factory=dict)

    def take(self, name: str, value: str) -> str:
        """Take a value out; returns the column that stands for it."""
        for column, known in self.columns.items():
            if known == value and value:
                return column
        return self._add(name, value)

    def ask(self, name: str) -> str:
        """Return a column for a value that is not known here, and has to be written into it."""
        return self._add(name, "")

    def _add(self, name: str, value: str) -> str:
        base = re.sub(r"\W+", "_", name).strip("_").lower() or "secret"
        column, number = base, 2
        while column in self.columns:
            column, number = f"{base}_{number}", number + 1
        self.columns[column] = value
        return column


def convert(content: bytes, source: str) -> tuple[str, Secrets]:
    """Make a scenario of recorded traffic; returns its text, and the secrets that are not in it.

    :param source: the file's name, for the head of the script.
    :raises NoTraffic: if it is no recorded traffic, or has no WebSocket messages.
    """
    sockets = traffic.read(content)
    secrets = Secrets()
    bodies = [list(_write_user(each, secrets)) for each in sockets]
    return _write_script(source, bodies, secrets), secrets


def _write_script(source: str, bodies: list[list[str]], secrets: Secrets) -> str:
    host = "wss://…"
    lines = [
        f'"""Recorded: {_safe(source)}.',
        "",
        f"    python -m loadgen 1 {host} --scenario THIS_FILE --trace",
    ]
    if secrets.columns:
        lines += ["", f"secrets.csv needs the columns {', '.join(secrets.columns)}, a row a user."]
    lines += ['"""', ""]
    names = "User, rows, scenario" if secrets.columns else "User, scenario"
    lines += [f"from loadgen.scenario import {names}"]
    if secrets.columns:
        lines += ["", 'secrets = rows("secrets.csv")']
    for number, body in enumerate(bodies, 1):
        name = "recorded" if len(bodies) == 1 else f"recorded_{number}"
        lines += ["", "", "@scenario", f"async def {name}(user: User) -> None:"]
        lines += [f"    {line}" for line in body]
    return "\n".join(lines) + "\n"


def _safe(text: str) -> str:
    return re.sub(r"[^\w .-]", "_", text)[:80]


# -- One socket -----------------------------------------------------------------------------


def _write_user(socket: Traffic, secrets: Secrets) -> Iterator[str]:
    messages = sorted(socket.messages, key=lambda each: each.time)
    path = _write_path(socket.url, secrets, is_masked=socket.is_masked)
    yield f"async with user.connect({path}) as ws:"
    replies = _match_replies(messages)
    answered = set(replies.values())
    pushes = [
        each
        for place, each in enumerate(messages)
        if each.type == "receive" and place not in answered
    ]
    if pushes:
        yield '    ws.stream("pushed")  # all that is no reply'
    before_s = messages[0].time
    for place, message in enumerate(messages):
        if message.type != "send":
            continue
        pause_s = message.time - before_s
        if pause_s >= MIN_PAUSE_S:
            yield f"    await user.sleep({pause_s:.2f})"
        before_s = message.time
        yield f"    {_write_sending(message, secrets, is_request=place in replies)}"
    yield "    # Each user does all this again while the load lasts; see also user.pace."


def _match_replies(messages: list[Message]) -> dict[int, int]:
    """Find the replies: of each message that has an id, by place, the frame that repeats it."""
    found: dict[int, int] = {}
    waiting: dict[Any, int] = {}
    for place, message in enumerate(messages):
        key = _find_id(message)
        if key is None:
            continue
        if message.type == "send":
            waiting[key] = place
        elif key in waiting:
            found[waiting.pop(key)] = place
    return found


def _find_id(message: Message) -> tuple[str, Any] | None:
    value = _decode(message)
    if isinstance(value, dict):
        for name in ID_NAMES:
            if isinstance(value.get(name), str | int):
                return name, value[name]
    return None


def _decode(message: Message) -> Any:
    if message.opcode != 1:
        return None
    try:
        return msgspec.json.decode(message.data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _write_sending(message: Message, secrets: Secrets, *, is_request: bool) -> str:
    key, value = _find_id(message), _decode(message)
    if message.opcode == 2:
        return f"await ws.send(__import__('base64').b64decode({message.data[:MAX_TEXT]!r}))"
    if not isinstance(value, dict | list):
        if _SECRET.search(message.data):  # Nobody knows which part is.
            return f"await ws.send(secrets[user].{secrets.take('message', message.data)})"
        return f"await ws.send({message.data[:MAX_TEXT]!r})"
    if is_request and key is not None and isinstance(value, dict):
        value = {name: each for name, each in value.items() if name != key[0]}
        # A text alone: inside of anything else there may be a secret.
        named = (value.get(name) for name in ("method", "type", "event", "action", "op"))
        step = next((each for each in named if isinstance(each, str)), "call")
        shown = _write_value(value, secrets)
        return f"await ws.request({shown}, name={step[:60]!r}, reply={key[0]!r})"
    return f"await ws.send({_write_value(value, secrets)})"


def _write_value(value: Any, secrets: Secrets, name: str = "") -> str:
    """Write a value as Python does, with what is secret taken from the user's row."""
    if isinstance(value, Mapping):
        members = [f"{each!r}: {_write_value(value[each], secrets, str(each))}" for each in value]
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_write_value(each, secrets, name) for each in value) + "]"
    if isinstance(value, str) and value and _SECRET.search(name):
        return f"secrets[user].{secrets.take(name, value)}"
    return repr(value)


def _write_path(url: str, secrets: Secrets, *, is_masked: bool) -> str:
    """Write path and query of a URL, with what is secret in the query taken from the user's row.

    :param is_masked: the values are not known: all are taken from there.
    """
    parts = urlsplit(url)
    path = parts.path or "/"
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    if not pairs:
        return repr(path)
    written = []
    for name, value in pairs:
        if is_masked:
            written.append(f"{urlencode({name: ''})}{{secrets[user].{secrets.ask(name)}}}")
        elif value and _SECRET.search(name):
            written.append(f"{urlencode({name: ''})}{{secrets[user].{secrets.take(name, value)}}}")
        else:
            written.append(_escape(urlencode({name: value})))
    query = "&".join(written)
    prefix = "f" if "{secrets" in query else ""
    return f"{prefix}{f'{_escape(path) if prefix else path}?{query}'!r}"


def _escape(text: str) -> str:
    """Keep braces of a URL from being taken for those of an f-string; %-encoded they are none."""
    return text.replace("{", "%7B").replace("}", "%7D")
