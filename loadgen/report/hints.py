"""Say what to do next: one sentence for each way in which a run goes wrong that has a remedy.

The table stands here once. The line of a run that opened nothing, the text report, the JSON's
`hints`, the page and docs/reference/hints.md are made from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from echo_trio.units import show_duration
from echo_trio.wire.close_codes import MESSAGE_TOO_BIG
from loadgen.report.script_limits import REMEDY, find_blocked_opening
from loadgen.results.latency import least_count
from loadgen.results.ledger import Ending, Failure
from loadgen.results.result import Result
from loadgen.workload.matching import Rule
from loadgen.workload.target import DEFAULT_PORT

#: What fills the gaps of a hint; None if the hint does not apply.
Gaps = dict[str, object] | None

#: This machine, as users call it.
_LOOPBACK: Final = {"127.0.0.1", "localhost", "::1"}
#: OpenSSL's words, for an answer that is no TLS.
_NOT_TLS: Final = ("wrong version number", "record layer failure", "packet length too long")


@dataclass(frozen=True, slots=True)
class Hint:
    """A remedy.

    :ivar cause: when it is given, for the documentation.
    :ivar text: the sentence, with gaps.
    :ivar find: decides whether it applies to a run, and fills the gaps.
    """

    cause: str
    text: str
    find: Callable[[Result], Gaps]


def find_hints(result: Result) -> list[str]:
    """Find what to do about a run; an empty list if nothing comes to mind."""
    found = ((hint, hint.find(result)) for hint in HINTS)
    return [hint.text.format(**gaps) for hint, gaps in found if gaps is not None]


def make_table() -> str:
    """Make the documentation's table, in Markdown."""
    rows = [f"| {hint.cause} | {hint.text} |" for hint in HINTS]
    return "\n".join(["| when | hint |", "| --- | --- |", *rows]) + "\n"


def _if(applies: object) -> Gaps:
    return {} if applies else None


def _failed(*reasons: Failure) -> Callable[[Result], Gaps]:
    return lambda result: _if(any(result.ledger.failed[reason] for reason in reasons))


def _tls_says(*words: str) -> Callable[[Result], Gaps]:
    """Look for words in OpenSSL's errors, which it writes in several ways."""

    def find(result: Result) -> Gaps:
        errors = [error.lower().replace("_", " ") for error in result.ledger.tls_errors]
        return _if(any(word in error for word in words for error in errors))

    return find


def _status(*statuses: int) -> Callable[[Result], Gaps]:
    return lambda result: _if(any(result.ledger.failed_status[status] for status in statuses))


def _find_no_proxy(result: Result) -> Gaps:
    return _if(result.ledger.failed[Failure.REFUSED] and result.plan.proxy)


def _find_proxy_says(*words: str) -> Callable[[Result], Gaps]:
    said = {f"proxy: {word}" for word in words}
    return lambda result: _if(any(why in said for _, why in result.ledger.details))


def _find_nothing_here(result: Result) -> Gaps:
    target = result.plan.target
    if (
        result.plan.proxy
        or not result.ledger.failed[Failure.REFUSED]
        or target.host not in _LOOPBACK
    ):
        return None
    return {"port": "" if target.port == DEFAULT_PORT else f" --port {target.port}"}


def _find_nothing_there(result: Result) -> Gaps:
    is_here = result.plan.target.host in _LOOPBACK or result.plan.proxy
    return _if(result.ledger.failed[Failure.REFUSED] and not is_here)


def _find_timeout(result: Result) -> Gaps:
    if not result.ledger.failed[Failure.TIMEOUT]:
        return None
    return {"timeout": show_duration(result.plan.connect_timeout_s)}


def _find_cut(result: Result) -> Gaps:
    cut = result.ledger.failed[Failure.RESET] and not result.ledger.opened
    return _if(cut and not result.plan.target.tls)


def _find_tls_behind_ws(result: Result) -> Gaps:
    details = result.ledger.details
    return _if(
        any(failure is Failure.PROTOCOL and "TLS answers" in why for failure, why in details)
    )


def _find_plain_echo(result: Result) -> Gaps:
    return _if(result.ledger.plain_echoes and result.plan.matching.rule is Rule.SUFFIX)


def _find_silence(result: Result) -> Gaps:
    ledger = result.ledger
    owes = ledger.sent - ledger.one_way - ledger.published
    return _if(owes and ledger.lost == owes and not ledger.received)


def _find_some_lost(result: Result) -> Gaps:
    ledger = result.ledger
    # If no socket lasted until we closed it, replies were awaited of none.
    if not ledger.lost or not ledger.answered or ledger.early.total() >= ledger.opened:
        return None
    return {"timeout": show_duration(result.plan.stop_timeout_s)}


def _find_too_big(result: Result) -> Gaps:
    return _if(result.ledger.early[Ending.BY_PEER, MESSAGE_TOO_BIG])


def _find_uncounted_close(result: Result) -> Gaps:
    ledger = result.ledger
    if not ledger.unanswered_closes or ledger.still_sending:
        return None
    return {"timeout": show_duration(result.plan.stop_timeout_s)}


def _find_few(result: Result) -> Gaps:
    count = result.intended.count
    least = least_count("p99")
    if not 0 < count < least:
        return None
    return {"count": f"{count:,}", "p99": f"{least:,}", "p999": f"{least_count('p999'):,}"}


def _find_behind(result: Result) -> Gaps:
    return _if(result.ledger.overdue and result.workers.processes == 1)


HINTS: Final = (
    Hint(
        "nothing listens at a port of this machine",
        "Nothing listens there; start a server: python -m echo_trio{port}",
        _find_nothing_here,
    ),
    Hint(
        "nothing listens at the target's port",
        "Nothing listens there: is the server running, and is this its port?",
        _find_nothing_there,
    ),
    Hint(
        "nothing listens at the proxy's port",
        "Nothing listens at the address of --proxy: is it running, and is this its port?",
        _find_no_proxy,
    ),
    Hint(
        "the proxy wants to know who asks",
        "The proxy wants a user and a password: write them into --proxy, before its host and @",
        _find_proxy_says("HTTP 407", "it wants a user and a password", "user or password is wrong"),
    ),
    Hint(
        "a socket did not open in time",
        "No answer within {timeout}: is a firewall between, or too much asked at once? "
        "--connect-timeout waits longer, --connect-rate and --connect-concurrency ask for less",
        _find_timeout,
    ),
    Hint(
        "the target's name is not resolved",
        "The name has no address here: check its spelling, or give an address in the URL and the "
        "name with --header 'Host: NAME'",
        _failed(Failure.DNS),
    ),
    Hint(
        "the handshake of ws:// is cut without an answer",
        "The server cut the connection without an answer: if TLS is spoken there, the URL should "
        "begin with wss://",
        _find_cut,
    ),
    Hint(
        "TLS answers at the port of ws://",
        "TLS answers there: begin the URL with wss://",
        _find_tls_behind_ws,
    ),
    Hint(
        "no TLS answers at the port of wss://",
        "What listens there does not speak TLS: begin the URL with ws://",
        _tls_says(*_NOT_TLS),
    ),
    Hint(
        "the certificate is self-signed, or of an authority that this machine doesn't know",
        "The certificate is of nobody that this machine trusts: --cacert FILE trusts its "
        "authority, --insecure takes any certificate",
        _tls_says(
            "self-signed", "self signed", "unable to get local issuer", "unable to get issuer"
        ),
    ),
    Hint(
        "the certificate is another name's",
        "The certificate is for another name than the URL has: write the name it is for, or take "
        "any certificate with --insecure",
        _tls_says("hostname mismatch", "ip address mismatch", "not valid for"),
    ),
    Hint(
        "the certificate has expired, or is not valid yet",
        "The certificate's time is over, or has not come: renew it, look at this machine's clock, "
        "or take any with --insecure",
        _tls_says("expired", "not yet valid"),
    ),
    Hint(
        "the server asks for the client's certificate",
        "The server asks who we are: give a certificate with --cert FILE and --key FILE",
        _tls_says("certificate required", "handshake failure"),
    ),
    Hint(
        "the handshake gets 401 or 403",
        "The server wants to know who asks: --header 'Authorization: …' or 'Cookie: …' says so, "
        "--origin names the page that a browser would be on",
        _status(401, 403),
    ),
    Hint(
        "the handshake gets 404 or 405, or 200 as from a web page",
        "There is no WebSocket at this path: give the URL's path as the server has it",
        _status(200, 404, 405),
    ),
    Hint(
        "the handshake is redirected",
        "The server redirects, and a load is not led elsewhere: give the new address as the URL",
        _status(301, 302, 303, 307, 308),
    ),
    Hint(
        "the handshake gets 429 or 503",
        "The server takes no more for now: ask for less with --connect-rate or a smaller COUNT",
        _status(429, 503),
    ),
    Hint(
        "the greeting of --expect does not come",
        "The server did not greet as --expect says: leave it out to see the frames that come, "
        "or wait longer with --connect-timeout",
        _failed(Failure.GREETING),
    ),
    Hint(
        "this machine is out of file descriptors",
        "This shell's limit on open files is too low: ulimit -n raises it, --workers shares the "
        "sockets among processes",
        _failed(Failure.FILE_LIMIT),
    ),
    Hint(
        "this machine is out of local ports",
        "This machine has no port left to this target: --source-ip connects from more addresses",
        _failed(Failure.ADDRESS_IN_USE),
    ),
    Hint(
        "the replies are the messages, without a suffix",
        "The replies are the messages themselves: --verify exact fits this server",
        _find_plain_echo,
    ),
    Hint(
        "no message gets a reply",
        "The server said nothing: --verify off is for servers that do not answer, --expect for "
        "those that speak first",
        _find_silence,
    ),
    Hint(
        "some messages get no reply",
        "Replies were awaited for {timeout} after the load: a longer --stop-timeout tells late "
        "ones from lost ones",
        _find_some_lost,
    ),
    Hint(
        "the server closes with 1009",
        "The messages are too long for the server: --size makes them shorter",
        _find_too_big,
    ),
    Hint(
        "a close frame is not answered in time",
        "Close frames were awaited for {timeout}: a longer --stop-timeout tells a slow server "
        "from one that does not answer",
        _find_uncounted_close,
    ),
    Hint(
        "the generator could not keep up",
        "More processes send more: --workers auto",
        _find_behind,
    ),
    Hint(
        "a scenario's code blocks for half of the time in which its users come",
        "While users came, the scenario's own code held all of them up for {share} of the time, "
        f"at step {{step}} most of all: {REMEDY}",
        find_blocked_opening,
    ),
    Hint(
        "there are too few replies for a percentile",
        "{count} replies are few for p99, which takes {p99}, and for p99.9, which takes {p999}: "
        "give more --duration or rate",
        _find_few,
    ),
)
