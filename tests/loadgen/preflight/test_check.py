import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.preflight.check import SPARE_FILES, MachineFacts, Refused, check
from loadgen.preflight.costs import SOCKET_BYTES, TLS_SOCKET_BYTES
from loadgen.workload.plan import Plan

PORTS = range(32768, 61000)
FACTS = MachineFacts(
    file_limit=20_000,
    file_hard_limit=20_000,
    open_files=12,
    memory_bytes=2**33,
    available_bytes=2**32,
    ports=PORTS,
    ports_left=len(PORTS),
    loopback=True,
)


def facts(**changes):
    return dataclasses.replace(FACTS, **changes)


def test_ten_thousand_sockets_are_nothing_to_a_machine_like_this():
    assert check(Plan(10_000), FACTS) == []


def test_where_the_system_tells_nothing_nothing_is_refused():
    unknown = MachineFacts(file_limit=2**31, file_hard_limit=2**31, open_files=0)
    assert check(Plan(1_000_000), unknown) == []


@pytest.mark.parametrize(
    ("plan", "found", "complaint"),
    [
        pytest.param(
            Plan(30_000), facts(),
            "30,000 sockets need 30,020 open files, and this process may have 20,000: have the "
            "limit raised, ulimit -Hn 30020 as root, share them among processes, --workers 2, or "
            "open 19,980 sockets",
            id="files-hard",
        ),
        pytest.param(
            Plan(2_000), facts(file_limit=1_024),
            "2,000 sockets need 2,020 open files, and this process may have 1,024: raise its "
            "limit, ulimit -n 2020",
            id="files-soft",
        ),
        pytest.param(
            Plan(10), facts(file_limit=16, file_hard_limit=16),
            "10 sockets need 30 open files, and this process may have 16: have the limit raised, "
            "ulimit -Hn 30 as root",
            id="files-none-at-all",
        ),
        pytest.param(
            Plan(10_000), facts(ports_left=4_000),
            "10,000 sockets need as many local ports, and 4,000 are left to 127.0.0.1 port 8765: "
            "add --source-ip 127.0.0.2-127.0.0.3",
            id="ports",
        ),
        pytest.param(
            Plan(60_000), facts(file_limit=10**6),
            "60,000 sockets need as many local ports, and 28,232 are left to 127.0.0.1 port 8765: "
            "add --source-ip 127.0.0.2-127.0.0.4",
            id="more-than-all-ports",
        ),
        pytest.param(
            Plan(10_000), facts(ports_left=4_000, ports_waiting=7_000),
            "10,000 sockets need as many local ports, and 4,000 are left to 127.0.0.1 port 8765; "
            "7,000 more are in TIME_WAIT: wait a minute, or add --source-ip 127.0.0.2-127.0.0.3",
            id="ports-in-time-wait",
        ),
        pytest.param(
            Plan(10_000, "ws://192.0.2.1/"), facts(ports_left=4_000, loopback=False),
            "10,000 sockets need as many local ports, and 4,000 are left to 192.0.2.1 port 80: "
            "add local addresses, 2 in all, with --source-ip",
            id="ports-to-elsewhere",
        ),
        pytest.param(
            Plan(1, source_ips=("192.0.2.7",)), facts(foreign=("192.0.2.7",)),
            "--source-ip 192.0.2.7: not an address of this machine; see ip address, or add it "
            "there",
            id="not-our-address",
        ),
        pytest.param(
            Plan(1_000_000), facts(file_limit=10**7, ports_left=10**7),
            "1,000,000 sockets may need some 9.5 GiB of memory, and this machine has 8.0 GiB: "
            "open fewer, or share the run among machines",
            id="memory",
        ),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_in_one_line_that_says_what_to_change(plan, found, complaint):
    with pytest.raises(Refused) as caught:
        check(plan, found)
    assert str(caught.value) == complaint


def test_what_is_tight_is_said_and_not_refused():
    roomy = facts(file_limit=10**7, ports_left=10**7)
    (warning,) = check(Plan(500_000), roomy)
    assert warning == (
        "500,000 sockets may need some 4.8 GiB of memory, and 4.0 GiB are to be had without "
        "swapping"
    )


def test_tls_and_large_messages_need_more_memory():
    roomy = facts(file_limit=10**7, ports_left=10**7)
    assert check(Plan(100_000), roomy) == []
    assert check(Plan(100_000, "wss://h/"), roomy) != []
    assert check(Plan(50_000, size_bytes=64 * 1024), roomy) != []


def refused(plan, found, processes=1):
    try:
        check(plan, found, processes=processes)
    except Refused:
        return True
    return False


@pytest.mark.parametrize(
    ("changes", "most", "processes"),
    [
        pytest.param({"file_limit": 1000}, 1000 - 12 - SPARE_FILES, 1, id="files"),
        pytest.param({"file_limit": 1000, "open_files": 0}, 1000 - SPARE_FILES, 1, id="none-open"),
        pytest.param({"file_limit": 1000}, 3 * (1000 - 12 - SPARE_FILES), 3, id="files-of-three"),
        pytest.param({"ports_left": 500}, 500, 1, id="ports"),
        pytest.param({"ports_left": 500, "ports_waiting": 70}, 500, 1, id="ports-and-waiting"),
        pytest.param({"memory_bytes": 700 * SOCKET_BYTES, "available_bytes": None}, 700, 1,
                     id="memory"),
    ],
)  # fmt: skip
def test_what_just_suffices_is_enough_and_one_more_is_refused(changes, most, processes):
    found = facts(**changes)
    assert not refused(Plan(most), found, processes)
    assert refused(Plan(most + 1), found, processes)


@pytest.mark.parametrize(("waiting", "told"), [(69, False), (70, True), (71, True)])
def test_ports_in_time_wait_are_waited_for_if_they_suffice(waiting, told):
    with pytest.raises(Refused) as caught:
        check(Plan(570), facts(ports_left=500, ports_waiting=waiting))
    assert ("wait a minute" in str(caught.value)) is told


def test_a_warning_begins_where_memory_is_to_be_had_without_swapping_no_more():
    found = facts(available_bytes=700 * SOCKET_BYTES)
    assert check(Plan(700), found) == []
    assert len(check(Plan(701), found)) == 1


def test_a_payload_is_in_memory_twice_for_each_socket():
    found = facts(available_bytes=10 * (SOCKET_BYTES + 2 * 5000))
    assert check(Plan(10, size_bytes=5000), found) == []
    assert check(Plan(10, size_bytes=5001), found) != []


@given(st.integers(1, 50_000), st.integers(20, 4_000), st.integers(0, 30), st.integers(1, 9))
def test_what_a_refusal_for_files_advises_just_suffices(count, limit, open_files, processes):
    """Take each of its numbers: with that the run can work, and with one less it can not."""
    plan, found = Plan(count), facts(
        file_limit=limit, file_hard_limit=limit, open_files=open_files, ports_left=10**9,
        memory_bytes=None, available_bytes=None,
    )  # fmt: skip
    try:
        check(plan, found, processes=processes)
    except Refused as exc:
        advice = {
            name: int(number.replace(",", ""))
            for name, number in re.findall(r"(ulimit -Hn|--workers|or open) ([\d,]+)", str(exc))
        }
    else:
        return
    files = advice.pop("ulimit -Hn")
    assert not refused(plan, facts(**changed(found, file_limit=files)), processes)
    assert refused(plan, facts(**changed(found, file_limit=files - 1)), processes)
    if advice:
        workers, fewer = advice["--workers"], advice["or open"]
        assert not refused(plan, found, workers)
        assert workers == 1 or refused(plan, found, workers - 1)
        assert not refused(Plan(fewer), found, processes)
        assert refused(Plan(fewer + 1), found, processes)
    else:  # Not a single socket would do.
        assert refused(Plan(1), found, 1)


def changed(found, **changes):
    return dataclasses.asdict(dataclasses.replace(found, **changes)) | {"ports": found.ports}


@given(st.integers(1, 60_000), st.integers(0, 60_000), st.integers(1, 3))
def test_the_addresses_that_a_refusal_asks_for_just_have_ports_enough(count, left, addresses):
    found = facts(
        file_limit=10**9, ports_left=left, addresses=addresses, ports=range(30_000, 40_000)
    )
    try:
        check(Plan(count), found)
    except Refused as exc:
        told = re.search(r"--source-ip 127\.0\.0\.2-127\.0\.0\.(\d+)", str(exc))
    else:
        return
    assert told is not None
    more = int(told[1]) - 1 - addresses
    assert more > 0
    assert left + more * 10_000 >= count > left + (more - 1) * 10_000


@pytest.mark.parametrize("url", ["ws://h/", "wss://h/"])
def test_as_much_memory_as_there_is_is_enough_and_a_byte_less_is_not(url):
    each = TLS_SOCKET_BYTES if url.startswith("wss") else SOCKET_BYTES
    for name, outcome in (("memory_bytes", "refused"), ("available_bytes", "warned")):
        for spare, is_enough in ((0, True), (-1, False)):
            found = facts(
                **{"memory_bytes": None, "available_bytes": None, name: 70 * each + spare}
            )
            told = "refused" if refused(Plan(70, url), found) else ["", "warned"][
                len(check(Plan(70, url), found))
            ]  # fmt: skip
            assert told == ("" if is_enough else outcome)
