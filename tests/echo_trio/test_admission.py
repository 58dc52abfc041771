"""Whose pages may connect, and how many there may be."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echo_trio import admission
from echo_trio.admission import MAX_REFUSALS, MIN_REFUSALS, PlaceCapacity, admit, last_descriptor
from echo_trio.origins import parse_origin
from echo_trio.wire.handshake import HandshakeRefused, Reason
from echo_trio.wire.server_handshake import NotAnUpgrade


@pytest.mark.parametrize(
    ("asked_for", "file_limit", "connections"),
    [(0, 1024, 960), (0, 1_048_576, 1_048_512), (100, 1024, 100), (5000, 1024, 960), (0, 40, 1)],
    ids=["unset", "unset, much", "fewer than fit", "more than fit", "hardly any"],
)
def test_the_capacity_is_what_was_asked_for_as_far_as_it_fits(
    asked_for, file_limit, connections
) -> None:
    assert PlaceCapacity.of(asked_for, file_limit).connections == connections


@given(st.integers(0, 2**20), st.integers(256, 2**20))
def test_connections_and_refusals_leave_descriptors_for_health(asked_for, file_limit) -> None:
    capacity = PlaceCapacity.of(asked_for, file_limit)
    assert capacity.connections >= 1
    assert capacity.refusals >= 1
    assert capacity.connections + capacity.refusals <= file_limit - 32
    assert last_descriptor(file_limit) <= file_limit - 32


@pytest.mark.parametrize(
    ("wanted", "limit", "connections", "refusals"),
    [
        pytest.param(0, 1024, 960, MIN_REFUSALS, id="all"),
        pytest.param(960, 1024, 960, MIN_REFUSALS, id="just-all"),
        pytest.param(961, 1024, 960, MIN_REFUSALS, id="more-than-all"),
        pytest.param(959, 1024, 959, MIN_REFUSALS + 1, id="one-to-spare"),
        pytest.param(1, 1024, 1, MIN_REFUSALS + 959, id="one"),
        pytest.param(1, 10_000, 1, MAX_REFUSALS, id="as-many-refusals-as-there-may-be"),
        pytest.param(0, 65, 1, MIN_REFUSALS, id="hardly-any"),
        pytest.param(5, 10, 1, MIN_REFUSALS, id="none-to-spare"),
    ],
)
def test_what_fits_is_what_the_file_limit_leaves(wanted, limit, connections, refusals):
    capacity = PlaceCapacity.of(wanted, limit)
    assert (capacity.connections, capacity.refusals) == (connections, refusals)


def test_a_proxys_connection_takes_two_descriptors():
    assert PlaceCapacity.of(0, 1025, files_each=2).connections == 480
    assert PlaceCapacity.of(479, 1025, files_each=2).connections == 479
    assert PlaceCapacity.of(481, 1025, files_each=2).connections == 480


def test_without_workers_a_room_is_there_and_with_them_it_is_not():
    request = SimpleNamespace(path="/room/x", headers=[])
    assert admit(request)
    with pytest.raises(HandshakeRefused) as caught:
        admit(request, workers=2)
    assert caught.value.status == 501


@pytest.mark.parametrize(
    ("origin", "may"),
    [
        ("https://a.example", True),
        ("HTTPS://A.example:443", True),
        ("https://a.example:8443", True),
        ("https://a.example:8444", False),
        ("http://a.example", False),
        ("https://a.example.evil", False),
        ("null", False),
        ("nonsense", False),
        (None, True),
    ],
)
def test_pages_of_other_origins_may_not_connect(origin, may):
    origins = frozenset(map(parse_origin, ("https://a.example", "https://a.example:8443")))
    headers = [] if origin is None else [("origin", origin)]
    request = SimpleNamespace(path="/plain", headers=headers)
    if may:
        assert admit(request, origins)
    else:
        with pytest.raises(HandshakeRefused) as caught:
            admit(request, origins)
        assert caught.value.status == 403
    assert admit(request)


@pytest.mark.parametrize(
    ("limit", "first"),
    [(1024, 992), (66, 34), (64, 32), (63, 31), (40, 20), (1_048_576, 1_048_544)],
)
def test_half_of_the_spare_descriptors_stay_free(limit, first):
    assert last_descriptor(limit) == first


@pytest.mark.parametrize(
    ("refuse", "status", "reason", "retry"),
    [
        (admission.no_proxy_header, 400, Reason.PROXY_HEADER, None),
        (admission.too_slow, 408, Reason.TIMEOUT, None),
        (admission.draining, 503, Reason.DRAINING, "5"),
        (admission.full, 503, Reason.CAPACITY, "5"),
        (admission.displaced, 503, Reason.DISPLACED, "5"),
        (admission.out_of_descriptors, 503, Reason.DESCRIPTORS, "5"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_refusal_has_its_status_and_says_when_to_come_back(refuse, status, reason, retry):
    refused = refuse()
    assert (refused.status, refused.reason) == (status, reason)
    assert refused.headers == ({} if retry is None else {"Retry-After": retry})


@pytest.mark.parametrize(
    ("path", "workers", "status", "reason"),
    [
        ("/nowhere", 1, 404, Reason.PATH),
        ("/delay/x", 1, 400, Reason.PARAMETER),
        ("/room/x", 2, 501, Reason.WORKERS),
        ("/status/418", 1, 418, Reason.ASKED_FOR),
        ("/plain", 1, None, None),
        ("/room/x", 1, None, None),
    ],
)
def test_who_asks_for_what_is_not_there_is_told_so_whether_it_would_upgrade_or_not(
    path, workers, status, reason
):
    request = SimpleNamespace(path=path, headers=[])
    plain = NotAnUpgrade(path, "This is a WebSocket server.")
    if status is None:
        assert admit(request, workers=workers)
    else:
        with pytest.raises(HandshakeRefused) as caught:
            admit(request, workers=workers)
        assert (caught.value.status, caught.value.reason) == (status, reason)
    told = admission.not_an_upgrade(plain, workers)
    if status is None or reason is Reason.ASKED_FOR:
        assert told is plain
    else:
        assert (told.status, told.reason) == (status, reason)
