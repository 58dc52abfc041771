import pytest

from loadgen.results.verify import (
    ANSWERS,
    BINARY_ANSWERS,
    Sent,
    Verdict,
    answers_exactly,
    answers_with_suffix,
    answers_with_suffix_in_bytes,
    judge,
)
from loadgen.workload.payloads import Payloads

DEFAULT = Payloads("{conn}-{seq}", size_bytes=32, sockets=10)


def message(seq, conn=3, payloads=DEFAULT):
    return payloads.render(conn, seq)


def judged(
    reply, *, pending=(), sent=10, newest=-1, verify="suffix", payloads=DEFAULT, messages=None
):
    waiting = [
        Sent((messages or {}).get(s) or message(s, payloads=payloads), s, 0, 0) for s in pending
    ]
    return judge(
        reply,
        waiting,
        answers=ANSWERS[verify],
        payloads=payloads,
        conn=3,
        sent=sent,
        newest_answered=newest,
    )


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param("m 0", True, id="least"),
        pytest.param("m 999999", True, id="greatest"),
        pytest.param("m 1000000", False, id="too-great"),
        pytest.param("m 007", False, id="leading-zeros"),
        pytest.param("m 00", False, id="two-zeros"),
        pytest.param("m -1", False, id="negative"),
        pytest.param("m 1.5", False, id="fraction"),
        pytest.param("m ٣", False, id="digit-of-another-script"),
        pytest.param("m  1", False, id="two-spaces"),
        pytest.param("m\t1", False, id="tab"),
        pytest.param("m 1 ", False, id="space-behind"),
        pytest.param("m 1\n", False, id="newline-behind"),
        pytest.param("m ", False, id="no-number"),
        pytest.param("m", False, id="no-suffix"),
        pytest.param("x 1", False, id="another-message"),
        pytest.param(" 1", False, id="no-message"),
        pytest.param(b"m 1", False, id="binary"),
    ],
)
def test_a_reply_is_the_message_a_space_and_a_number_in_range(reply, expected):
    assert answers_with_suffix(reply, "m") is expected


def test_an_empty_message_is_answered_by_the_suffix_alone():
    assert answers_with_suffix(" 5", "")


def test_exactly_means_the_same_text():
    assert answers_exactly("m", "m")
    assert not answers_exactly("m 1", "m")
    assert not answers_exactly(b"m", "m")


@pytest.mark.parametrize(
    ("reply", "situation", "verdict"),
    [
        pytest.param(f"{message(5)} 1", {"pending": [5]}, (Verdict.ECHOED, 0), id="echo"),
        pytest.param(
            f"{message(6)} 1", {"pending": [5, 6]}, (Verdict.ECHOED, 1), id="echo-of-a-later-one"
        ),
        pytest.param(
            f"{message(5)} 1",
            {"pending": [5], "newest": 6},
            (Verdict.REORDERED, 0),
            id="echo-after-a-later-ones",
        ),
        pytest.param(
            f"{message(4)} 1", {"pending": [5]}, (Verdict.DUPLICATE, None), id="answered-before"
        ),
        pytest.param(f"{message(9)} 1", {}, (Verdict.DUPLICATE, None), id="nothing-pending"),
        pytest.param(
            f"{message(5, conn=4)} 1",
            {"pending": [5]},
            (Verdict.UNEXPECTED, None),
            id="another-sockets",
        ),
        pytest.param(f"{message(10)} 1", {"pending": [9]}, (Verdict.CORRUPT, 0), id="not-sent-yet"),
        pytest.param("Welcome!", {}, (Verdict.UNEXPECTED, None), id="greeting"),
        pytest.param(
            "Welcome!", {"pending": [0]}, (Verdict.CORRUPT, None), id="greeting-or-wrong-answer"
        ),
        pytest.param("", {"pending": [5]}, (Verdict.CORRUPT, None), id="empty"),
        pytest.param(message(5), {"pending": [4, 5]}, (Verdict.CORRUPT, 1), id="without-suffix"),
        pytest.param(
            f"{message(5)} 1000000",
            {"pending": [5]},
            (Verdict.CORRUPT, 0),
            id="suffix-out-of-range",
        ),
        pytest.param(
            f"{message(5)[:-1]}! 1", {"pending": [5]}, (Verdict.CORRUPT, 0), id="one-letter-wrong"
        ),
        pytest.param(
            f"{message(5)} 1".encode(), {"pending": [5]}, (Verdict.CORRUPT, 0), id="other-opcode"
        ),
        pytest.param(b"\xff\xfe", {"pending": [5]}, (Verdict.CORRUPT, None), id="bytes-not-utf-8"),
        pytest.param(
            f"{message(5)}", {"pending": [5], "verify": "exact"}, (Verdict.ECHOED, 0), id="exact"
        ),
        pytest.param(
            f"{message(5)} 1",
            {"pending": [5], "verify": "exact"},
            (Verdict.CORRUPT, 0),
            id="exact-but-suffixed",
        ),
        pytest.param(
            f"{message(4)}",
            {"pending": [5], "verify": "exact"},
            (Verdict.DUPLICATE, None),
            id="exact-duplicate",
        ),
    ],
)
def test_a_reply_gets_one_verdict(reply, situation, verdict):
    assert judged(reply, **situation) == verdict


def test_a_reply_is_to_the_message_that_it_is_most_like():
    payloads = Payloads("{now}-{seq}-{conn}")
    near, far = "1234567890-7-3", "9999567890-8-3"
    for pending, index in (([7, 8], 0), ([8, 7], 1)):
        assert judged(
            "1234567890-x-x", pending=pending, payloads=payloads, messages={7: near, 8: far}
        ) == (Verdict.CORRUPT, index)


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        pytest.param("abcd....", (Verdict.CORRUPT, 0), id="half"),
        pytest.param("abc.....", (Verdict.CORRUPT, None), id="less-than-half"),
    ],
)
def test_half_of_a_message_is_enough_to_know_it_by(reply, verdict):
    payloads = Payloads("abcdefgh")
    assert judged(reply, pending=[0], payloads=payloads) == verdict


def test_a_reply_after_one_to_a_later_message_is_late_and_one_after_an_earlier_is_not():
    for newest, verdict in ((4, Verdict.ECHOED), (6, Verdict.REORDERED)):
        assert judged(f"{message(5)} 1", pending=[5, 7], newest=newest) == (verdict, 0)


def test_a_wrong_timestamp_in_a_pending_message_is_corruption_and_no_duplicate():
    payloads = Payloads("{now}/{seq}")
    assert judged(
        "1700000000001/5 7",
        pending=[5],
        payloads=payloads,
        messages={5: "1700000000000/5"},
    ) == (Verdict.CORRUPT, 0)


def test_messages_that_are_alike_are_answered_in_turn():
    assert judged("hi 1", pending=[4, 5], payloads=Payloads("hi")) == (Verdict.ECHOED, 0)
    assert judged("hi 1", payloads=Payloads("hi")) == (Verdict.DUPLICATE, None)


def test_a_message_told_apart_by_chance_alone_is_found_among_the_pending():
    payloads = Payloads("{random}")
    assert judged(f"{message(5, payloads=payloads)} 1", pending=[4, 5, 6], payloads=payloads) == (
        Verdict.ECHOED,
        1,
    )


def test_finding_a_reply_among_thousands_of_unanswered_messages_reads_a_few_of_them():
    class Counted(list):
        reads = 0

        def __getitem__(self, index):
            self.reads += 1
            return super().__getitem__(index)

        def __iter__(self):
            raise AssertionError("walked through all")

    pending = Counted(Sent(message(seq), seq, 0, 0) for seq in range(5000))
    verdict = judge(
        f"{message(4321)} 9",
        pending,
        answers=answers_with_suffix,
        payloads=DEFAULT,
        conn=3,
        sent=5000,
        newest_answered=4320,
    )
    assert verdict == (Verdict.ECHOED, 4321)
    assert pending.reads < 30


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param(b"m 0", True, id="least"),
        pytest.param(b"m 999999", True, id="greatest"),
        pytest.param(b"m 1000000", False, id="too-great"),
        pytest.param(b"m 007", False, id="leading-zeros"),
        pytest.param(b"m", False, id="no-suffix"),
        pytest.param("m 1", False, id="text"),
    ],
)
def test_a_binary_reply_is_the_bytes_a_space_and_a_number_in_range(reply, expected):
    assert answers_with_suffix_in_bytes(reply, b"m") is expected


@pytest.mark.parametrize(
    ("reply", "pending", "verdict"),
    [
        pytest.param(b"\xff\x003-5 7", [5], (Verdict.ECHOED, 0), id="echo"),
        pytest.param(b"\xff\x003-4 7", [5], (Verdict.DUPLICATE, None), id="duplicate"),
        pytest.param(b"\xff\x004-5 7", [5], (Verdict.UNEXPECTED, None), id="another-sockets"),
        pytest.param(b"\xff\x003-5", [5], (Verdict.CORRUPT, 0), id="without-suffix"),
        pytest.param("3-5 7", [5], (Verdict.CORRUPT, None), id="other-opcode"),
        pytest.param(b"\xff\x003-5 77777777", [4, 5], (Verdict.CORRUPT, 1), id="out-of-range"),
    ],
)
def test_a_binary_reply_gets_one_verdict(reply, pending, verdict):
    payloads = Payloads(b"\xff\x00{conn}-{seq}", sockets=10, binary=True)
    waiting = [Sent(payloads.render(3, seq), seq, 0, 0) for seq in pending]
    judged = judge(
        reply,
        waiting,
        answers=BINARY_ANSWERS["suffix"],
        payloads=payloads,
        conn=3,
        sent=9,
        newest_answered=-1,
    )
    assert judged == verdict


def test_a_wrong_reply_is_alike_by_the_messages_own_letters_however_long_it_is():
    """Half of its letters at their places make it a reply to that one, a letter less does not."""
    waiting, plain = "abcdefgh", Payloads("{conn}-{seq}", sockets=10)
    for reply, verdict in (
        ("abcd" + "#" * 90, (Verdict.CORRUPT, 0)),
        ("abcd", (Verdict.CORRUPT, 0)),
        ("####efgh", (Verdict.CORRUPT, 0)),
        ("abc" + "#" * 90, (Verdict.CORRUPT, None)),
    ):
        assert judged(reply, pending=[0], payloads=plain, messages={0: waiting}) == verdict


def test_of_messages_that_are_equally_alike_the_oldest_is_answered():
    plain = Payloads("{conn}-{seq}", sockets=10)
    messages = {0: "####", 1: "ab##", 2: "##cd", 3: "ab##"}
    found = judged("abcd", pending=[0, 1, 2, 3], payloads=plain, messages=messages)
    assert found == (Verdict.CORRUPT, 1)


def test_a_message_and_a_word_that_is_no_suffix_is_no_echo_of_it():
    """It is a wrong reply to what is open, and not a second one to what was answered."""
    for behind in (" x", " 1000000", " -1", ""):
        assert judged(f"{message(4)}{behind}", pending=[5]) == (Verdict.CORRUPT, 0)
    assert judged(f"{message(4)} 999999", pending=[5]) == (Verdict.DUPLICATE, None)


def test_a_wrong_reply_is_none_to_a_message_that_has_no_letters():
    plain = Payloads("{conn}-{seq}", sockets=10)
    assert judged("x", pending=[0], payloads=plain, messages={}) == (Verdict.CORRUPT, None)
    waiting = [Sent("", 0, 0, 0)]
    rest = {"answers": answers_with_suffix, "payloads": plain, "conn": 3, "sent": 1}
    assert judge("x", waiting, newest_answered=-1, **rest) == (Verdict.CORRUPT, None)
