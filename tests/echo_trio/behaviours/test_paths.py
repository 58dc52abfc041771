"""What stands behind each path, and who is told why nothing does."""

from __future__ import annotations

import pytest

from echo_trio import admission
from echo_trio.behaviours import paths
from echo_trio.behaviours.actions import Close, Freeze, Reply, Reset
from echo_trio.behaviours.scripts import Faulty, Script
from echo_trio.wire.handshake import HandshakeRefused
from echo_trio.wire.server_handshake import UpgradeRequest, refusal_response

from .acting import Acting

#: One of each path, and what its third message leads to; suffixes are always 7.
EXAMPLES = {
    "/": ["m 7"],
    "/plain": ["m"],
    "/info": [Reply("m 7")],
    "/delay/250ms": [Reply("m 7", late_s=0.25)],
    "/stall/3/2s": [Freeze(2.0), Reply("m 7")],
    "/silent": [None],
    "/drop/3": [Reply("m 7"), Reset()],
    "/close/4000": [Close(4000)],
    "/close/1008/go%20away": [Close(1008, "go away")],
    "/duplicate/3": [Reply("m 7"), Reply("m 7")],
    "/corrupt/3": [Reply("- 7")],
    "/reorder/2": [Reply("m 7"), Reply("m 7")],
    "/swallow/3": [],
    "/fragment/2": [Reply("m 7", fragment_bytes=2)],
    "/burst/3": [Reply("m 7")] * 3,
    "/rpc": [
        Reply('{"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": null}')
    ],
    "/room/den": [],
    "/ticker/1s": [],
    "/login/me": [Reply("m 7")],
    "/quota/2": [Close(4429, "more than 2 messages a second")],
    # With faults before them: the first sees the messages first, on the way in and on the way out.
    "/~delay/250ms/plain": [Reply("m", late_s=0.25)],
    "/~fragment/2/~duplicate/1/plain": [Reply("m", fragment_bytes=2)] * 2,
    "/~duplicate/1/~swallow/2/plain": [Reply("m")],
    "/~swallow/2/~duplicate/1/plain": [Reply("m")] * 2,
    "/~up-duplicate/1/plain": [Reply("m")] * 2,
    "/~up-swallow/3/~up-duplicate/1/plain": [],
    "/~up-duplicate/1/~up-swallow/3/plain": [Reply("m")],
    "/~drop/3/plain": [Reply("m"), Reset()],
    "/~drop/3/~delay/1s/plain": [Reply("m", 1.0), Reset(1.0)],
    "/~up-stall/3/2s/~delay/1s/plain": [Freeze(2.0, 1.0), Reply("m", 1.0)],
    "/~close/4001:go%20away/plain": [Close(4001, "go away")],
    "/~up-close/1006/plain": [Close(1006)],
    "/~silent/plain": [],
    "/~up-silent/info": [],
    "/~up-corrupt/3/plain": [Reply("-")],
    "/~delay/1s/": [Reply("m 7", 1.0)],
}


def request_for(target: str) -> UpgradeRequest:
    return UpgradeRequest(target, [], "key", [])


def refusal_of(target: str) -> HandshakeRefused:
    with pytest.raises(HandshakeRefused) as refused:
        admission.admit(request_for(target))
    return refused.value


def acting_on(target: str):
    acting = admission.admit(request_for(target))(lambda: 7)
    return Acting(acting) if isinstance(acting, Script | Faulty) else acting


@pytest.mark.parametrize(("path", "expected"), EXAMPLES.items(), ids=EXAMPLES)
def test_a_paths_behaviour_is_a_function_of_message_and_number(path, expected):
    acting = acting_on(path)
    if isinstance(acting, Acting):
        for _ in range(3):
            actions = list(acting.received("m"))
        assert actions == expected
    else:
        assert [acting("m")] == expected


def test_every_path_of_the_table_has_an_example():
    texts = {template: template.split("/") for template in paths.BEHAVIOURS}
    tried = {
        template
        for template, parts in texts.items()
        for path in [*EXAMPLES, "/status/418"]
        if paths._match(parts, path.split("/")) is not None
    }
    assert tried == set(paths.BEHAVIOURS)


@pytest.mark.parametrize("path", ["/", "/plain"])
def test_the_ordinary_echo_is_a_function_and_no_script(path):
    assert not isinstance(acting_on(path), Acting)


@pytest.mark.parametrize("target", ["/", "/plain", "/plain?a=b", "/?x", "/plain?a=/b/c"])
def test_a_known_path_is_admitted_whatever_its_query(target):
    found = admission.admit(request_for(target))
    assert found is paths.find(target.partition("?")[0])


@pytest.mark.parametrize(
    "target",
    [
        "/Plain",
        "/plain/",
        "//",
        "/%70lain",
        "/nothing",
        "/delay",
        "/delay/1s/2",
        "/stall/3",
        "/close",
        "/close/1000/a/b",
        "/DELAY/1s",
        "//delay/1s",
        "/silent/1",
        "/rpc/1",
        "/room",
        "/room/a/b",
        "/~",
        "/~/plain",
        "/~delay",
        "/~delay/1s",
        "/~delay/1s/nothing",
        "/~nothing/1/plain",
        "/~drop/1/2/plain",
        "/~silent",
        "/~burst/2/plain",
        "/~DELAY/1s/plain",
        "/~down-delay/1s/plain",
        "/plain/~delay/1s",
    ],
)
def test_an_unknown_path_is_404_with_the_list(target):
    refused = refusal_of(target)
    assert refused.status == 404
    assert refused.why == paths.listing()


def test_the_list_has_each_path_on_a_line_of_its_own():
    lines = paths.listing().splitlines()
    for template in paths.BEHAVIOURS:
        assert sum(line.split()[:1] == [template] for line in lines) == 1
    assert max(map(len, lines)) <= 100


COUNT = ["", "-1", "+1", "1.5", "x", "1 ", "1_0", "0x1", "1e3", "1000001", "9" * 400, "٣"]
DURATION = ["", "1", "-1s", "1d", "1S", "s", "1s1s", "61m", "1e3s", "inf", "nan", "9" * 400 + "s"]
BAD = {
    "/delay/{}": [*DURATION, "{duration}"],
    "/stall/{}/1s": ["0", *COUNT],
    "/stall/3/{}": DURATION,
    "/drop/{}": COUNT,
    "/duplicate/{}": ["0", *COUNT],
    "/corrupt/{}": ["0", *COUNT],
    "/reorder/{}": ["0", *COUNT],
    "/swallow/{}": ["0", *COUNT],
    "/burst/{}": ["0", "1001", *COUNT],
    "/fragment/{}": ["0", "-1", "0.5", "1XB", "2GiB", "9" * 400, ""],
    "/close/{}": [
        "0",
        "999",
        "1004",
        "1015",
        "1016",
        "2999",
        "5000",
        "01000",
        "1000x",
        "",
        "٣٠٠٠",
    ],
    "/close/1000/{}": ["x" * 124, "%c3%a9" * 62, "%", "%4", "%zz", "%ff", "a%c3"],
    "/close/{}/why": ["1005", "1006", "1004"],
    "/room/{}": ["", "x" * 129, "%c3%a9" * 65, "%ff", "%"],
    "/login/{}": ["", "x" * 129],
    "/ticker/{}": [*DURATION, "0s", "0.5ms"],
    "/quota/{}": ["", "0", "x", "10%2F", "-1", "1000001", "9" * 400, "1e3", "nan"],
    "/status/{}": ["0", "99", "100", "101", "199", "600", "0404", "404x", "-404", "", "4٠4"],
}


@pytest.mark.parametrize(
    "path",
    [template.format(text) for template, texts in BAD.items() for text in texts],
    ids=lambda path: path if len(path) < 40 else path[:30] + "…",
)
def test_a_bad_parameter_is_400_and_says_what_is_allowed(path):
    refused = refusal_of(path)
    assert refused.status == 400
    template = refused.why.partition(" takes\n")[0]
    assert template in paths.BEHAVIOURS
    for name, parameter in paths.BEHAVIOURS[template].parameters.items():
        assert f"  {{{name}}}: {parameter.allowed}" in refused.why.splitlines()
    assert len(refused.why) < 500


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("/delay/0.5s", {"duration_s": 0.5}),
        ("/delay/0s", {"duration_s": 0}),
        ("/delay/1h", {"duration_s": 3600}),
        ("/stall/10k/1m", {"every": 10_000, "duration_s": 60}),
        ("/drop/0", {"after": 0}),
        ("/drop/1m", {"after": 1_000_000}),
        ("/fragment/1KiB", {"size_bytes": 1024}),
        ("/burst/1k", {"times": 1000}),
        ("/close/1000/", {"code": 1000, "reason": ""}),
        ("/close/1005/", {"code": 1005, "reason": ""}),
        ("/close/3000/a+b%2Fc%3F", {"code": 3000, "reason": "a+b/c?"}),
        ("/close/4999/" + "%c3%a9" * 61, {"code": 4999, "reason": "é" * 61}),
        ("/room/a%20b%2Fc", {"name": "a b/c"}),
        ("/room/" + "%c3%a9" * 64, {"name": "é" * 64}),
        ("/login/a%2Fb", {"token": "a/b"}),
        ("/ticker/1ms", {"interval_s": 0.001}),
        ("/quota/10", {"per_s": 10}),
        ("/quota/10%2Fs", {"per_s": 10}),
        ("/quota/30%2Fm", {"per_s": 0.5}),
        ("/quota/5k", {"per_s": 5000}),
        ("/delay/%31s", {"duration_s": 1}),
        ("/close/4999/" + "x" * 123, {"code": 4999, "reason": "x" * 123}),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_parameters_are_written_as_on_the_command_line(path, values):
    acting = acting_on(path)
    (made,) = [*acting.incoming, *acting.outgoing] or [acting.script]
    assert {name: getattr(made, name) for name in values} == values


@pytest.mark.parametrize("code", [*range(1000, 1004), *range(1005, 1015), 3000, 3999, 4000, 4999])
def test_every_code_that_a_client_can_come_to_see_is_allowed(code):
    assert list(acting_on(f"/close/{code}").received("m")) == [Close(code)]


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (401, b'WWW-Authenticate: Basic realm="echo-trio"'),
        (405, b"Allow: GET"),
        (407, b'Proxy-Authenticate: Basic realm="echo-trio"'),
        (426, b"Upgrade: websocket"),
        (205, b"Content-Length: 0"),
    ],
)
def test_a_status_comes_with_the_headers_that_http_wants(status, line):
    refused = refusal_of(f"/status/{status}")
    assert refused.status == status
    assert line in refusal_response(refused).split(b"\r\n")


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_body_has_neither_body_nor_length(status):
    answer = refusal_response(refusal_of(f"/status/{status}"))
    assert answer.endswith(b"\r\n\r\n")
    assert b"Content-" not in answer


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/~delay/1x/plain", "~delay takes\n  a duration from 0s to 1h"),
        ("/~stall/0/1s/plain", "~stall takes\n  a whole number of messages from 1 to 1000000"),
        ("/~close/4001%3Ago/~drop/x/rpc", "~drop takes"),
        ("/~close/1005:why/plain", "~close takes"),
        ("/~status/99/plain", "~status/{http} takes"),
        ("/~up-status/503/plain", "~up-status: "),
        ("/~delay/1s/delay/1x", "/delay/{duration} takes"),
        ("/" + "~delay/0s/" * 11, "there may be 10 faults before a path"),
    ],
)
def test_a_bad_fault_is_400_and_says_what_is_allowed(path, why):
    refused = refusal_of(path)
    assert refused.status == 400
    assert refused.why.startswith(why)


def test_a_status_before_a_path_refuses_it_and_a_path_that_is_none_stays_none():
    assert refusal_of("/~delay/1s/~status/503/rpc").status == 503
    assert refusal_of("/~status/503/nothing").status == 404
    assert acting_on("/" + "~delay/0s/" * 10)


def test_a_room_is_one_processs_and_with_more_its_path_says_so_whatever_stands_before_it():
    for path in ("/room/den", "/~delay/1s/room/den"):
        with pytest.raises(HandshakeRefused) as refused:
            admission.admit(request_for(path), workers=2)
        assert refused.value.status == 501
        assert "this server has 2: start it with --workers 1" in refused.value.why
        assert admission.admit(request_for(path), workers=1)
    assert admission.admit(request_for("/rpc"), workers=2)


def test_whoever_comes_while_the_server_stops_is_told_when_to_try_again():
    refused = admission.draining()
    assert refused.status == 503
    assert refused.headers == {"Retry-After": "5"}
