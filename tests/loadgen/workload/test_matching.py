import pytest

from loadgen.workload.json_values import find_json
from loadgen.workload.matching import Rule, Verify, compile_pattern, parse_pattern


@pytest.mark.parametrize("text", ["suffix", "exact", "turn", "fan-out", "off"])
def test_a_rule_without_parameter_is_its_name(text):
    assert Verify.parse(text) == Verify(Rule(text))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("strict", "'strict' is none of suffix, exact, turn", id="unknown"),
        pytest.param("json", "json:PATH and regex:PATTERN", id="json-without-path"),
        pytest.param("json:", "json:PATH and regex:PATTERN", id="json-with-empty-path"),
        pytest.param("json:a..b", "json:a..b is not a path", id="empty-part"),
        pytest.param("json:a=", "json: is not a path", id="empty-path-of-the-reply"),
        pytest.param("turn:2", "'turn:2' is none", id="parameter-too-many"),
        pytest.param("regex:(", "regex:\\( is no regular expression: ", id="no-pattern"),
    ],
)
def test_what_is_no_rule_is_refused_with_what_to_write(text, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        Verify.parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "frame", "key"),
    [
        pytest.param("id", '{"id": 7}', 7, id="number"),
        pytest.param("id", '{"id": 7.0}', 7, id="number-with-a-point"),
        pytest.param("id", '{"id": "7"}', "7", id="string"),
        pytest.param("id", b'{"id": "7"}', "7", id="bytes"),
        pytest.param("id", '{"id": ""}', "", id="empty-string"),
        pytest.param("id", '{"id": 0}', 0, id="zero"),
        pytest.param("id", '{"id": null}', None, id="null"),
        pytest.param("id", '{"id": {}}', None, id="object"),
        pytest.param("id", '{"id": [1]}', None, id="array"),
        pytest.param("id", '{"other": 1}', None, id="missing"),
        pytest.param("id", "[1]", None, id="array-where-an-object-is-due"),
        pytest.param("id", "hello", None, id="not-json"),
        pytest.param("id", b"\xff\xfe", None, id="not-utf-8"),
        pytest.param("id", "[" * 100_000, None, id="nesting-without-end"),
        pytest.param("id", '{"\\u0069d": 5}', 5, id="escaped-name"),
        pytest.param("id", '{"id": 12345678901234567890123}', 12345678901234567890123, id="large"),
        pytest.param("a.b.c", '{"a": {"x": 1, "b": {"c": "d"}}}', "d", id="nested"),
        pytest.param("a.b", '{"a": [1]}', None, id="name-in-an-array"),
        pytest.param("params.0.id", '{"params": [{"id": 3}]}', 3, id="index"),
        pytest.param("params.1", '{"params": [5]}', None, id="index-beyond-the-end"),
        pytest.param("0", "[9]", 9, id="array-at-the-top"),
        pytest.param("2.id", '{"2": {"id": 4}}', 4, id="a-number-may-be-a-name"),
        pytest.param("0", '{"x": 1}', None, id="index-in-an-object"),
        pytest.param("x-id", '{"x-id": 1}', 1, id="name-that-is-no-identifier"),
    ],
)
def test_a_key_in_json_is_a_value_of_its_type(path, frame, key):
    assert find_json(path)(frame) == key


def test_true_is_neither_one_nor_a_string():
    find = find_json("id")
    keys = [find(f'{{"id": {value}}}') for value in ("true", "1", '"true"', "1.0")]
    assert len(set(keys)) == 3


@pytest.mark.parametrize(
    ("pattern", "frame", "key"),
    [
        pytest.param(r"#(\d+)", "hello #12 #13", "12", id="first-group"),
        pytest.param(r"#\d+", "hello #12", "#12", id="all-of-it"),
        pytest.param(r"#(\d+)", b"\x00\xff #12", "12", id="bytes-that-are-no-utf-8"),
        pytest.param(r"#(\d+)", "hello", None, id="nothing"),
        pytest.param(r"a(b)?", "a", None, id="group-that-took-no-part"),
    ],
)
def test_a_regular_expression_finds_a_key(pattern, frame, key):
    verify = Verify.parse(f"regex:{pattern}")
    assert verify.find_own(frame) == verify.find_theirs(frame) == key


def test_two_paths_are_that_of_the_message_and_that_of_the_reply():
    verify = Verify.parse("json:params.0.id=result.id")
    assert verify.find_own('{"params": [{"id": 5}]}') == 5
    assert verify.find_theirs('{"result": {"id": 5}}') == 5


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        pytest.param("any", ["x", b""], [], id="any"),
        pytest.param("regex:^tick", ["tick 1", b"tick"], ["a tick"], id="regex"),
        pytest.param(
            "json:type=tick", ['{"type": "tick"}'], ['{"type": "x"}', "{}", "tick"], id="string"
        ),
        pytest.param("json:n=7", ['{"n": 7}', '{"n": 7.0}'], ['{"n": "7"}'], id="number"),
        pytest.param('json:n="7"', ['{"n": "7"}'], ['{"n": 7}'], id="quoted-number"),
        pytest.param("json:n=null", ['{"n": null}'], ["{}", '{"n": 0}'], id="null"),
        pytest.param("json:n=true", ['{"n": true}'], ['{"n": 1}', '{"n": "true"}'], id="true"),
        pytest.param("json:n=[1,true]", ['{"n": [1, true]}'], ['{"n": [true, 1]}'], id="array"),
        pytest.param("json:n=NaN", ['{"n": "NaN"}'], ["{}"], id="no-json-is-a-string"),
        pytest.param("json:n=", ['{"n": ""}'], ['{"n": "x"}'], id="empty-string"),
        pytest.param("json:a=b=c", ['{"a": "b=c"}'], ['{"a": "b"}'], id="equals-in-the-value"),
    ],
)
def test_a_pattern_fits_what_it_says_and_nothing_else(pattern, fitting, others):
    fits = compile_pattern(pattern)
    assert all(map(fits, fitting))
    assert not any(map(fits, others))


@pytest.mark.parametrize("text", ["json:type", "json:=x", "regex:", "regex:(", "all", ""])
def test_what_is_no_pattern_is_refused(text):
    with pytest.raises(ValueError, match=r"is not a pattern: write|is no regular expression"):
        compile_pattern(text)


def test_a_group_that_matches_nothing_is_a_key_and_one_that_takes_no_part_is_none():
    find = Verify.parse("regex:n=([0-9]*)").find_theirs
    assert (find("n="), find("n=7"), find("m")) == ("", "7", None)
    assert Verify.parse("regex:n(=7)?").find_theirs("n") is None


@pytest.mark.parametrize("text", ["any", "json:a.b=1", "json:a=", "regex:^a", "regex:a=b:c"])
def test_a_pattern_is_checked_as_it_is_read_and_stays_as_it_was_written(text):
    assert parse_pattern(text) == text


@pytest.mark.parametrize("text", ["", "anything", "json:a", "json:=1", "regex:", "regex:(", "a=b"])
def test_what_is_no_pattern_is_refused_as_it_is_read(text):
    with pytest.raises(ValueError, match=r"is not a pattern: write|is no regular expression"):
        parse_pattern(text)
