import pytest

from loadgen.workload.headers import check_headers, parse_header, parse_headers
from loadgen.workload.plan import Plan


def test_a_header_is_a_name_and_a_value():
    assert parse_header("X-Key:  a: b ") == ("X-Key", "a: b")
    assert parse_header("X-Empty:") == ("X-Empty", "")
    for text in ("nonsense", ": value"):
        with pytest.raises(ValueError, match="write it like 'Name: value'"):
            parse_header(text)


@pytest.mark.parametrize("name", ["Host", "host", "HOST"])
def test_the_handshake_has_the_headers_in_order_and_a_host_of_the_users(name):
    plan = Plan(1, "ws://h:9/p", headers=(("X-A", "1"), (name, "other"), ("X-A", "2")),
                origin="https://o", subprotocols=("b", "a"))  # fmt: skip
    lines = plan.request(plan.target)("KEY").decode().split("\r\n")
    assert lines[:2] == ["GET /p HTTP/1.1", "Host: other"]
    assert lines[6:] == [
        "Sec-WebSocket-Protocol: b, a", "X-A: 1", "X-A: 2", "Origin: https://o", "", "",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["é", "日本", "plain"])
def test_a_header_is_the_same_bytes_from_the_command_line_and_from_a_file(tmp_path, text):
    file = tmp_path / "headers"
    file.write_text(f"\ufeffX-Name: {text}\r\n\r\nX-Other: 1\r\n", encoding="utf-8")
    given = (*parse_headers(f"X-Name: {text}"), *parse_headers("X-Other: 1"))
    assert parse_headers(f"@{file}") == [*given]
    plan = Plan(1, headers=given)
    assert f"X-Name: {text}\r\n".encode() in plan.request(plan.target)("key")


def test_origin_may_be_a_header_or_a_flag_and_not_both():
    check_headers([("Origin", "https://a")], None)
    check_headers([("X-A", "1")], "https://a")
    with pytest.raises(ValueError, match="both set Origin"):
        check_headers([("ORIGIN", "https://a")], "https://a")


@pytest.mark.parametrize("name", ["Upgrade", "sec-websocket-key", "Content-Length"])
def test_what_the_handshake_sets_itself_is_nobody_elses_header(name):
    with pytest.raises(ValueError, match=f"can't set {name}"):
        check_headers([(name, "x")], None)


def test_the_line_of_a_file_that_is_no_header_is_told_by_its_number_and_not_shown(tmp_path):
    file = tmp_path / "headers"
    file.write_text("X-A: 1\n\nhush\n")
    with pytest.raises(ValueError, match="line 3 is no header like 'Name: value'") as refused:
        parse_headers(f"@{file}")
    assert "hush" not in str(refused.value)
