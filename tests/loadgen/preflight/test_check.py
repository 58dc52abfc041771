import dataclasses

import pytest

from loadgen.preflight.check import MachineFacts, Refused, check
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
