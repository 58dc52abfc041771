"""Check what all dials of a console share: their number, where they may go, and as whom."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from echo_trio.dialling import room
from echo_trio.dialling.ends import Cause
from echo_trio.dialling.order import BadOrder, DialOrder, read_target
from echo_trio.dialling.room import (
    MAX_DIALS,
    CannotDial,
    ClientContexts,
    Dialling,
    named_certificates,
)
from echo_trio.wire.budget import Budget
from echo_trio.wire.limits import Limits
from echo_trio.wire.tls import CertificateUnusable


@pytest.mark.parametrize("of_authorities", [True, False])
def test_a_file_that_can_not_be_used_is_found_before_anybody_dials(
    tmp_path: Path, of_authorities: bool
) -> None:
    file = tmp_path / "nonsense.pem"
    file.write_text("no certificate")
    contexts = ClientContexts(
        {} if of_authorities else {"one": file}, file if of_authorities else None
    )
    with pytest.raises(CertificateUnusable):
        contexts.check()
    ClientContexts({}, None).check()


async def test_whether_a_server_has_to_be_trusted_is_for_each_dial_to_say() -> None:
    contexts = ClientContexts({}, None)
    for _ in range(2):
        modes = [(await contexts.get(None, verify=verify)).verify_mode for verify in (True, False)]
        assert modes == [ssl.CERT_REQUIRED, ssl.CERT_NONE]
    assert await contexts.get(None, verify=False) is await contexts.get(None, verify=False)


def dialling_to(*allowed: tuple[str, int], **given: Any) -> Dialling:
    given = {
        "limits": Limits(), "open_timeout_s": 10.0, "budget": Budget(),
        "take_turn": lambda: pytest.fail("nothing runs"), "encode": lambda name, data: data,
    } | given  # fmt: skip
    contexts = ClientContexts(named_certificates(FILES), None)
    return Dialling(set(allowed), contexts, **given)


FILES = (Path("certs/me.pem"), Path("you.key.pem"))


async def test_so_many_are_dialled_at_a_time_and_none_once_the_server_stops() -> None:
    dialling = dialling_to(("a.example", 80))
    order = DialOrder(url="ws://a.example")
    dials = [dialling.open(order) for _ in range(MAX_DIALS)]
    assert len({dial.id for dial in dials}) == MAX_DIALS
    assert [dialling.get(dial.id) for dial in dials] == dials
    with pytest.raises(CannotDial, match=f"{MAX_DIALS} connections are dialled already"):
        dialling.open(order)
    dialling.forget(dials[0])
    dialling.forget(dials[0])
    assert dialling.get(dials[0].id) is None
    assert dialling.describe()["open"] == MAX_DIALS - 1
    dialling.stop()
    with pytest.raises(CannotDial, match="is stopping"):
        dialling.open(order)
    assert dialling.describe()["open"] == MAX_DIALS - 1
    causes = [None if dial._end is None else dial._end.cause for dial in dials]
    assert causes == [None, *[Cause.STOPPING] * (MAX_DIALS - 1)]


async def test_a_page_is_told_where_it_may_dial_and_as_whom() -> None:
    dialling = dialling_to(("b.example", 443), ("::1", 9), ("a.example", 80), ("a.example", 9))
    dialling.open(DialOrder(url="ws://a.example", certificate="me"))
    assert dialling.describe() == {
        "targets": ["[::1]:9", "a.example:9", "a.example:80", "b.example:443"],
        "certificates": ["me", "you.key"],
        "open": 1,
        "max_open": MAX_DIALS,
    }


async def test_a_dial_is_made_with_what_all_dials_share() -> None:
    shared = {
        "limits": Limits(max_message_bytes=7), "open_timeout_s": 3.5, "budget": Budget(9),
        "take_turn": lambda: None, "encode": lambda *_: b"",
    }  # fmt: skip
    dialling = dialling_to(("a.example", 80), **shared)
    order = DialOrder(url="ws://A.example/x")
    dial = dialling.open(order)
    room = dial._room
    assert {name: getattr(room, name) for name in shared} == shared
    assert (room.allowed, room.contexts) == ({("a.example", 80)}, dialling._contexts)
    assert (dial._order, dial.target, dial._budget) == (order, read_target(order), room.budget)


@pytest.mark.parametrize(
    ("order", "status", "field"),
    [
        ({"url": "http://a.example"}, 422, "url"),
        ({"url": "ws://b.example"}, 403, "url"),
        ({"url": "ws://a.example:81"}, 403, "url"),
        ({"url": "wss://a.example"}, 403, "url"),
        ({"certificate": "you"}, 422, "certificate"),
        ({"headers": [("X", "a\nb")]}, 422, "headers"),
        ({"subprotocols": ["a b"]}, 422, "subprotocols"),
    ],
    ids=str,
)
async def test_what_can_not_be_dialled_takes_no_place(
    order: dict[str, Any], status: int, field: str
) -> None:
    dialling = dialling_to(("a.example", 80))
    with pytest.raises(BadOrder) as caught:
        dialling.open(DialOrder(**{"url": "ws://a.example"} | order))
    assert (caught.value.status, caught.value.field) == (status, field)
    assert dialling.describe()["open"] == 0


async def test_each_context_is_made_once_of_the_file_that_has_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = list[Any]()

    def client_context(ca_file: Path | None, *, verify: bool, certificate: Path | None) -> int:
        made.append((ca_file, verify, certificate))
        return len(made)

    monkeypatch.setattr(room.tls, "client_context", client_context)
    ca = Path("ca.pem")
    contexts = ClientContexts(named_certificates(FILES), ca)
    contexts.check()
    assert made == [(ca, True, FILES[0]), (ca, True, FILES[1])]
    made.clear()
    ClientContexts({}, ca).check()
    ClientContexts({}, None).check()
    assert made == [(ca, True, None)]
    made.clear()
    asked = [(None, True), ("you.key", True), ("you.key", False), ("me", True)]
    for _ in range(2):
        got = [await contexts.get(certificate, verify=verify) for certificate, verify in asked]
        assert got == [1, 2, 3, 4]
    assert made == [(ca, True, None), (ca, True, FILES[1]), (ca, False, FILES[1]),
                    (ca, True, FILES[0])]  # fmt: skip
