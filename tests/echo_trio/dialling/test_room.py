import ssl
from pathlib import Path

import pytest

from echo_trio.dialling.order import DialOrder
from echo_trio.dialling.room import MAX_DIALS, CannotDial, ClientContexts, Dialling
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


async def test_so_many_are_dialled_at_a_time_and_none_once_the_server_stops() -> None:
    dialling = Dialling(
        {("a.example", 80)},
        ClientContexts({}, None),
        limits=Limits(),
        open_timeout_s=10.0,
        budget=Budget(),
        take_turn=lambda: pytest.fail("nothing runs"),
        encode=lambda name, data: data,
    )
    order = DialOrder(url="ws://a.example")
    dials = [dialling.open(order) for _ in range(MAX_DIALS)]
    with pytest.raises(CannotDial, match="dialled already"):
        dialling.open(order)
    dialling.forget(dials[0])
    dialling.forget(dials[0])
    assert dialling.get(dials[0].id) is None
    assert dialling.describe()["open"] == MAX_DIALS - 1
    dialling.stop()
    with pytest.raises(CannotDial, match="is stopping"):
        dialling.open(order)
    assert dialling.describe()["open"] == MAX_DIALS - 1
