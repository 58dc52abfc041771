import time

import pytest

from loadgen.workload.payloads import Payloads


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        pytest.param("{conn}-{seq}", "3-5", id="default"),
        pytest.param("hello", "hello", id="constant"),
        pytest.param('{"id": {seq}, "who": "{conn}"}', '{"id": 5, "who": "3"}', id="json"),
        pytest.param("{seq}{seq}", "55", id="twice"),
        pytest.param("{Conn} {} {1}", "{Conn} {} {1}", id="other-braces-are-text"),
    ],
)
def test_a_template_is_filled_in(template, expected):
    assert Payloads(template).render(3, 5) == expected


def test_a_word_in_braces_that_is_no_placeholder_is_sent_as_it_is_with_a_note():
    payloads = Payloads('{"query": "subscription {ticks}", "id": {seq}, "again": "{ticks}"}')
    assert payloads.render(0, 7) == '{"query": "subscription {ticks}", "id": 7, "again": "{ticks}"}'
    (note,) = payloads.notes
    assert note == (
        "{ticks} is no placeholder and is sent as it is; "
        "there are {conn}, {seq}, {now}, {random}, {room}"
    )


def test_a_word_whose_braces_are_doubled_is_sent_as_it_was_meant_without_a_note():
    payloads = Payloads("{{user}} {seq} {{{ticks}")
    assert payloads.render(0, 7) == "{user} 7 {{ticks}"
    (note,) = payloads.notes
    assert note.startswith("{ticks} is no placeholder")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        pytest.param('{"a": {"b": {"c": {seq}}}}', '{"a": {"b": {"c": 5}}}', id="nested-json"),
        pytest.param("{{seq}}", "{seq}", id="literal-placeholder"),
        pytest.param('{{"id": {seq}}}', '{"id": 5}', id="doubled-as-python-wants-it"),
        pytest.param('{{"a": {{"b": {seq}}}}}', '{"a": {"b": 5}}', id="doubled-and-nested"),
        pytest.param("{{{seq}}}", "{5}", id="literal-braces-around-a-placeholder"),
        pytest.param("a }} b", "a }} b", id="closing-nothing"),
        pytest.param('{{1}} {"a": {"b": {seq}}}', '{1} {"a": {"b": 5}}', id="closing-once"),
        pytest.param("{ } {} {1} {Seq}", "{ } {} {1} {Seq}", id="other-braces"),
    ],
)
def test_braces_that_are_doubled_are_literal_and_others_are_what_they_are(template, message):
    payloads = Payloads(template)
    assert payloads.render(3, 5) == message
    assert payloads.notes == ()
    assert payloads.find_sequence(message, 3, 6) == 5


def test_in_a_file_doubled_braces_are_what_they_are():
    assert Payloads(b"{{seq}} {ticks} {seq}").render(0, 5) == "{5} {ticks} 5"


def test_padding_counts_bytes():
    message = Payloads("ä{seq}", size_bytes=10).render(0, 1)
    assert message == "ä1......."
    assert len(message.encode()) == 10


def test_a_longer_message_stays_as_it_is():
    assert Payloads("0123456789", size_bytes=4).render(0, 0) == "0123456789"


def test_random_is_fixed_by_seed_socket_and_number():
    first, again, other = (Payloads("{random}", seed=seed) for seed in (7, 7, 8))
    numbers = {first.render(conn, seq) for conn in range(20) for seq in range(20)}
    assert len(numbers) == 400
    assert numbers == {again.render(conn, seq) for conn in range(20) for seq in range(20)}
    assert first.render(0, 0) != other.render(0, 0)


def test_now_is_the_unix_time_in_milliseconds():
    before = time.time_ns() // 1_000_000
    assert before <= int(Payloads("{now}").render(0, 0)) <= time.time_ns() // 1_000_000


@pytest.mark.parametrize(
    ("text", "seq"),
    [
        pytest.param("3-0" + 29 * ".", 0, id="first"),
        pytest.param("3-9" + 29 * ".", 9, id="last-sent"),
        pytest.param("3-10" + 28 * ".", None, id="not-sent-yet"),
        pytest.param("4-0" + 29 * ".", None, id="another-sockets"),
        pytest.param("3-0" + 28 * ".", None, id="padding-too-short"),
        pytest.param("3-00" + 28 * ".", None, id="leading-zero"),
        pytest.param("Welcome", None, id="greeting"),
        pytest.param("3-" + 5000 * "9", None, id="number-of-5000-digits"),
    ],
)
def test_a_text_is_found_to_be_one_of_the_messages_sent(text, seq):
    assert Payloads("{conn}-{seq}", size_bytes=32).find_sequence(text, 3, 10) == seq


def test_nothing_is_found_where_nothing_was_sent():
    assert Payloads("same").find_sequence("same", 0, 0) is None


def test_of_messages_that_are_alike_the_last_is_found():
    assert Payloads("same").find_sequence("same", 0, 5) == 4


def test_a_message_that_changes_with_time_is_found_by_its_number():
    assert Payloads("{now}/{seq}").find_sequence("1700000000000/3", 0, 5) == 3


@pytest.mark.parametrize(
    ("template", "text", "expected"),
    [
        pytest.param("{conn}-{seq}", "4-0", True, id="another-socket"),
        pytest.param("{conn}-{seq}", "3-0", False, id="own"),
        pytest.param("{conn}-{seq}", "9-0", False, id="no-such-socket"),
        pytest.param("{conn}-{seq}", "hello", False, id="no-message"),
        pytest.param("{seq}", "7", True, id="no-telling-whose"),
    ],
)
def test_a_text_can_be_another_sockets(template, text, expected):
    assert Payloads(template, sockets=9).is_anothers(text, 3) is expected


def test_binary_messages_are_the_bytes_of_the_text():
    payloads = Payloads("ä{seq}", size_bytes=5, binary=True)
    assert payloads.render(0, 7) == "ä7..".encode()
    assert payloads.find_sequence(payloads.text_of("ä7..".encode()), 0, 8) == 7


def test_the_text_of_the_other_opcode_is_none():
    assert Payloads("m").text_of(b"m") is None
    assert Payloads("m", binary=True).text_of("m") is None
    assert Payloads("m", binary=True).text_of(b"\xff") == "\xff"


def test_with_churn_any_number_can_be_another_sockets():
    assert Payloads("{conn}-{seq}", sockets=None).is_anothers("123456-0", 3)


def test_a_message_is_known_as_that_of_its_own_socket_and_no_others():
    payloads = Payloads("{conn}-{seq}", sockets=5)
    for conn in range(5):
        for seq in range(3):
            text = payloads.render(conn, seq)
            for other in range(5):
                found = payloads.find_sequence(text, other, 3)
                assert found == (seq if other == conn else None)
                assert payloads.is_anothers(text, other) is (other != conn)


def test_a_number_is_known_only_once_it_was_sent():
    payloads = Payloads("{seq}")
    assert [payloads.find_sequence("2", 0, sent) for sent in (0, 2, 3)] == [None, None, 2]


def test_what_has_the_right_number_and_another_text_is_no_message():
    payloads = Payloads("{seq} {random}", seed=7)
    text = payloads.render(0, 1)
    assert payloads.find_sequence(text, 0, 5) == 1
    wrong = f"1 {(int(text.split()[1]) + 1) % 2**32}"
    assert payloads.find_sequence(wrong, 0, 5) is None


def test_seed_socket_and_number_each_change_what_is_random():
    made = {
        Payloads("{random}", seed=seed).render(conn, seq)
        for seed in range(4) for conn in range(4) for seq in range(4)
    }  # fmt: skip
    assert len(made) == 64


@pytest.mark.parametrize("letter", ["x", "é", "€", "😀"])
@pytest.mark.parametrize("size", [1, 5, 8, 9])
def test_a_padded_message_has_as_many_bytes_as_were_asked_for(letter, size):
    message = Payloads(letter, size_bytes=size).render(0, 0)
    assert len(message.encode()) == max(size, len(letter.encode()))
    binary = Payloads(letter, size_bytes=size, binary=True).render(0, 0)
    assert len(binary) == max(size, len(letter.encode()))


def test_a_message_that_changes_with_time_is_still_that_of_its_own_socket():
    payloads = Payloads("{conn} {seq} {now}", sockets=5)
    assert payloads.find_sequence("3 1 1700000000000", 3, 5) == 1
    assert payloads.find_sequence("3 1 1700000000000", 2, 5) is None
    assert payloads.is_anothers("3 1 1700000000000", 2)


@pytest.mark.parametrize(("size_bytes", "notes"), [(2, 1), (3, 0), (0, 0), (100, 0)])
def test_a_size_that_a_message_does_not_fit_is_told(size_bytes, notes):
    payloads = Payloads("{conn}-{seq}", size_bytes=size_bytes)
    assert len(payloads.notes) == notes
    assert all("--size 2 is less than a message has (3 bytes)" in note for note in payloads.notes)


def test_the_sockets_of_a_run_are_those_below_their_number():
    payloads = Payloads("{conn}-{seq}", sockets=10)
    assert payloads.find_key("9-4") == (9, 4)
    assert payloads.find_key("10-4") is None
    assert payloads.is_anothers("9-4", conn=3)
    assert not payloads.is_anothers("10-4", conn=3)
    assert not payloads.is_anothers("3-4", conn=3)
    unknown = Payloads("{conn}-{seq}", sockets=None)
    assert unknown.find_key("10-4") == (10, 4)
    assert unknown.is_anothers("10-4", conn=3)
