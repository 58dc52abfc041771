"""Test that copies are recognised by what they have in common with the message, in any process."""

from __future__ import annotations

import pytest

from loadgen.scenario.content import decode
from loadgen.scenario.topics import Subscription, find_published_key, number_of

MESSAGE = '{"id": 7, "text": "hi"}'


def test_a_copy_is_the_whole_message_or_has_its_value_at_a_path() -> None:
    whole = Subscription("t", None, lambda _: True)
    assert whole.find_key(decode(MESSAGE), MESSAGE) == find_published_key(MESSAGE, None)
    by_id = Subscription("t", "id", lambda _: True)
    assert by_id.find_key({"id": 7, "from": 1}, "…") == find_published_key({"id": 7}, "id")
    assert by_id.find_key({"id": "7"}, "…") != find_published_key({"id": 7}, "id")
    elsewhere = Subscription("t", "id=data.id", lambda _: True)
    assert elsewhere.find_key({"id": 8, "data": {"id": 7}}, "…") == (
        find_published_key({"id": 7}, "id=data.id")
    )


@pytest.mark.parametrize("value", [{}, {"id": None}, {"id": [1]}, "text", 7])
def test_what_has_no_value_there_is_no_copy(value: object) -> None:
    assert Subscription("t", "id", lambda _: True).find_key(value, "…") is None


def test_a_message_without_a_value_there_cannot_be_published() -> None:
    with pytest.raises(ValueError, match="nothing stands at copy='id'"):
        find_published_key({"text": "hi"}, "id")


@pytest.mark.parametrize("text", ["", "news", "äöü", b"\x00\xff"])
def test_a_number_of_a_text_fits_what_is_sent_between_processes(text: str | bytes) -> None:
    number = number_of(text)
    assert 0 < number < 2**63
    assert number == number_of(text)
    assert number != number_of(b"another")


def test_of_a_text_and_its_bytes_the_number_is_one_and_was_always_the_same() -> None:
    assert number_of("news") == number_of(b"news") == 0x56B3_1769_EE49_39E8
