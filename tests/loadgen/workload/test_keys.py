import pytest

from loadgen.workload.keys import Keys
from loadgen.workload.matching import Verify
from loadgen.workload.payloads import Payloads
from loadgen.workload.plan import Plan


@pytest.mark.parametrize(
    ("verify", "template", "numbered"),
    [
        pytest.param("json:id", '{"id": {seq}}', True, id="number"),
        pytest.param("json:id", '{"id": "{conn}-{seq}"}', True, id="number-in-a-string"),
        pytest.param("regex:#(.*)", "say #{seq}/{conn}", True, id="in-text"),
        pytest.param("json:id", '{"id": "{random}"}', False, id="chance"),
        pytest.param("json:id", '{"id": "{now}", "n": {seq}}', False, id="time"),
        pytest.param("json:id", '{"id": 1}', False, id="always-the-same"),
        pytest.param("json:id", '{"id": true}', False, id="a-truth"),
        pytest.param(r"regex:#(\d)", "#{seq}", False, id="the-first-digit-only"),
    ],
)
def test_a_key_tells_its_message_if_the_messages_number_is_in_it(verify, template, numbered):
    keys = Keys(Verify.parse(verify), Payloads(template, sockets=None))
    assert keys.are_numbered is numbered


def test_the_message_of_a_key_is_found_among_those_sent():
    payloads = Payloads('{"id": "{conn}-{seq}"}', sockets=10)
    keys = Keys(Verify.parse("json:id"), payloads)
    assert keys.find_sequence("3-41", 3, 50) == 41
    assert keys.find_sequence("3-3", 3, 50) == 3
    assert keys.find_sequence("3-41", 3, 41) is None  # not sent yet
    assert keys.find_sequence("4-41", 3, 50) is None  # another socket's
    assert keys.find_sequence("3-041", 3, 50) is None  # written otherwise
    assert keys.find_sequence("1 2 3 4 5 6 7 8 9 " * 1000, 3, 50) is None


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        pytest.param(
            {"verify": "json:id", "message": '{"method": "{seq}"}'},
            "--verify json:id: no key of that kind is in our own messages, such as "
            '\'{"method": "0"}\'',
            id="no-such-member",
        ),
        pytest.param({"verify": "json:id"}, "such as '0-0\\.\\.", id="not-json"),
        pytest.param(
            {"verify": "json:id", "message": '{"id": "{seq}"}', "size_bytes": 64},
            "no key of that kind",
            id="padding-breaks-json",
        ),
        pytest.param({"verify": "regex:#(\\d+)"}, "no key of that kind", id="regex"),
        pytest.param({"verify": "regex:#(\\d)$", "message": "#{seq}"}, "no key", id="later-ones"),
    ],
)
def test_messages_without_their_key_are_refused_before_anything_is_dialled(settings, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        Plan(1, **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("before", "found"), [(7, True), (8, False)])
def test_of_the_numbers_in_a_key_the_first_eight_may_be_the_messages(before, found):
    template = '{"id": "' + "99999 " * before + '{seq}"}'
    keys = Keys(Verify.parse("json:id"), Payloads(template, sockets=10))
    key = "99999 " * before + "41"
    assert keys.find_sequence(key, 3, 50) == (41 if found else None)
    assert keys.are_numbered is found


@pytest.mark.parametrize(("length", "cut"), [(60, False), (61, True)])
def test_a_message_without_a_key_is_shown_as_far_as_it_fits(length, cut):
    text = "x" * length
    with pytest.raises(ValueError, match="no key of that kind") as told:
        Plan(1, verify="json:id", message=text)
    shown = "x" * 57 + "…" if cut else text
    assert str(told.value).endswith(f"such as {shown!r}")
    with pytest.raises(ValueError, match="such as 'é'"):
        Plan(1, verify="json:id", message="é", binary=False)
