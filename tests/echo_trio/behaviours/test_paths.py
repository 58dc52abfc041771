"""What stands behind each path, and who is told why nothing does."""

from __future__ import annotations

import pytest

from echo_trio import admission
from echo_trio.behaviours import paths
from echo_trio.behaviours.actions import Close, Freeze, Reply, Reset
from echo_trio.behaviours.scripts import Script
from echo_trio.wire.handshake import HandshakeRefused, UpgradeRequest, refusal_response

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
}


def request_for(target: str) -> UpgradeRequest:
    return UpgradeRequest(target, [], "key", [])


def refusal_of(target: str) -> HandshakeRefused:
    with pytest.raises(HandshakeRefused) as refused:
        admission.admit(request_for(target))
    return refused.value


def acting_on(target: str):
    return admission.admit(request_for(target))(lambda: 7)


@pytest.mark.parametrize(("path", "expected"), EXAMPLES.items(), ids=EXAMPLES)
def test_a_paths_behaviour_is_a_function_of_message_and_number(path, expected):
    acting = acting_on(path)
    if isinstance(acting, Script):
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
    assert not isinstance(acting_on(path), Script)


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


COUNT = ["", "-1", "+1", "1.5", "x", "1 ", "1_0", "0x1", "1e3", "%31", "1000001", "9" * 400, "٣"]
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
        ("/close/4999/" + "x" * 123, {"code": 4999, "reason": "x" * 123}),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_parameters_are_written_as_on_the_command_line(path, values):
    script = acting_on(path)
    assert {name: getattr(script, name) for name in values} == values


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


def test_whoever_comes_while_the_server_stops_is_told_when_to_try_again():
    refused = admission.draining()
    assert refused.status == 503
    assert refused.headers == {"Retry-After": "5"}
