"""Find keys and values in messages and frames, and tell which frames are meant."""

from __future__ import annotations

import pytest

from loadgen.scenario.content import KeyPath, decode, encode, find_value, fits

DEEP = {"a": [{"b": 1}, {"b": 2, "t": False}], "t": True, "one": 1, "s": "1"}


@pytest.mark.parametrize(
    ("frame", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ("7", 7),
        (b'{"a": 1}', {"a": 1}),
        (b"[1]", [1]),
        (b"7", b"7"),  # of binary frames, only what can hardly be chance
        ("hello", "hello"),
        (b"{\xff", b"{\xff"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_a_frame_is_decoded_if_it_is_json(frame: str | bytes, value: object) -> None:
    assert decode(frame) == value
    assert decode(frame).__class__ is value.__class__


def test_text_and_bytes_are_sent_as_they_are_and_the_rest_as_json() -> None:
    assert [encode(each) for each in ("x", b"x", bytearray(b"x"), {"a": 1})] == [
        "x", b"x", b"x", '{"a":1}',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("one", 1),
        ("s", "1"),
        ("t", (True,)),  # which is not 1
        ("a", None),
        ("none", None),
        ("a.0.b", 1),
        ("a.1.b", 2),
        ("a.1.t", (False,)),
        ("a.2.b", None),
        ("a.-1.b", None),
        ("one.b", None),
    ],
)
def test_a_key_is_a_text_a_number_or_a_truth_value(path: str, key: object) -> None:
    assert KeyPath(path).find_own(DEEP) == KeyPath(path).find_theirs(DEEP) == key


def test_a_key_may_stand_elsewhere_in_the_reply() -> None:
    path = KeyPath("id=result.id")
    assert path.find_own({"id": 1, "result": {"id": 2}}) == 1
    assert path.find_theirs({"id": 1, "result": {"id": 2}}) == 2


def test_a_key_is_put_into_a_copy_of_the_message() -> None:
    message = {"params": {"x": 1}}
    assert KeyPath("id").put(message, 5) == {"params": {"x": 1}, "id": 5}
    assert KeyPath("params.id").put(message, 5) == {"params": {"x": 1, "id": 5}}
    assert KeyPath("new.id").put(message, 5) == {"params": {"x": 1}, "new": {"id": 5}}
    assert message == {"params": {"x": 1}}
    with pytest.raises(ValueError, match="no key can be put"):
        KeyPath("params.x.id").put(message, 5)


@pytest.mark.parametrize("path", ["", "a.", ".a", "a..b", "=a", "a="])
def test_a_path_has_no_empty_part(path: str) -> None:
    with pytest.raises(ValueError, match="is not a path"):
        KeyPath(path)


@pytest.mark.parametrize(
    ("meant", "fields", "value", "is_meant"),
    [
        (None, {}, DEEP, True),
        (None, {"one": 1}, DEEP, True),
        (None, {"one": True}, DEEP, False),
        (None, {"t": True}, DEEP, True),
        (None, {"t": 1}, DEEP, False),
        (None, {"a.1.b": 2}, DEEP, True),
        (None, {"a.1.b": 1}, DEEP, False),
        (None, {"a.0.b": True}, DEEP, False),
        (None, {"a.1.t": False}, DEEP, True),
        (None, {"one": 1, "s": "2"}, DEEP, False),
        (None, {"one": None}, {}, False),
        (None, {"one": None}, {"one": None}, True),
        (None, {"one": 1}, "text", False),
        ("go", {}, "go", True),
        ("go", {}, b"go", False),
        (lambda value: value["one"] == 1, {"s": "1"}, DEEP, True),
        (lambda value: value["one"] == 2, {"s": "1"}, DEEP, False),
    ],
)
def test_which_frames_are_meant(
    meant: object, fields: dict[str, object], value: object, is_meant: bool
) -> None:
    assert fits(meant, fields)(value) is is_meant  # type: ignore[arg-type]


def test_a_value_is_found_by_its_path() -> None:
    assert [find_value(path)(DEEP) for path in ("a.0", "t", "a.5", "x.y")] == [
        {"b": 1}, True, None, None,
    ]  # fmt: skip
