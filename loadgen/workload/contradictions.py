"""Find settings of a run that contradict each other. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadgen.workload.headers import check_headers
from loadgen.workload.keys import check_key
from loadgen.workload.matching import ANY, Rule
from loadgen.workload.payloads import DEFAULT_TEMPLATE, Payloads
from loadgen.workload.proxy import Proxy
from loadgen.workload.target import ROOM, Target

if TYPE_CHECKING:
    from loadgen.workload.plan import Plan


def check_load(plan: Plan) -> None:
    """Check that there is one answer to when messages are sent, and when the load ends.

    :raises ValueError: if there are two, or none.
    """
    rates = {
        "--rate-per-conn": plan.rate_per_conn is not None,
        "--rate": plan.rate is not None,
        "--stage": bool(plan.stages),
        "--closed-loop": plan.closed_loop,
    }
    if len(given := [flag for flag, is_given in rates.items() if is_given]) > 1:
        raise ValueError(f"{given[0]} and {given[1]} both say when to send: give one")
    if plan.stages:
        for flag, setting in (("--duration", plan.duration_s), ("--messages", plan.messages)):
            if setting is not None:
                raise ValueError(f"--stage and {flag} both say when the load ends: give one")
        if not plan.load_s:
            raise ValueError("--stage: all stages together take no time")
    if plan.messages and plan.lifetime_s is not None:
        raise ValueError("--messages counts for each socket, and --lifetime opens more: give one")
    if plan.messages and plan.storm is not None:
        raise ValueError("--messages is for each socket, and a storm opens more: give one")
    if plan.think_s and not plan.closed_loop:
        raise ValueError("--think goes with --closed-loop")
    if plan.messages and not plan.closed_loop and not plan.total_rate(plan.count):
        flag = "--rate-per-conn" if plan.rate is None else "--rate"
        raise ValueError(f"--messages needs a rate: {flag} is 0/s")
    for flag, value in (
        ("--connect-rate", plan.connect_rate),
        ("--connect-timeout", plan.connect_timeout_s),
        ("--lifetime", plan.lifetime_s),
        # Without time for a goodbye, every socket would seem to be the server's fault.
        ("--stop-timeout", plan.stop_timeout_s),
    ):
        if value is not None and not value:
            raise ValueError(f"{flag} has to be more than 0")


def check_scenario(plan: Plan) -> None:
    """Check that only the scenario says what is sent, when, and what comes back.

    :raises ValueError: if another setting does, too.
    """
    if plan.scenario is None:
        if plan.arrive is not None:
            raise ValueError("--arrive goes with --scenario, whose users arrive")
        return
    excluded = {
        "--verify": plan.verify != "suffix",
        "--expect": bool(plan.expect),
        "--ignore": bool(plan.ignore),
        "--rooms": plan.rooms > 1,
        "--message": plan.message != DEFAULT_TEMPLATE,
        "--message-file": plan.message_file is not None,
        "--size": plan.size_bytes is not None,
        "--binary": plan.binary,
        "--rate": plan.rate is not None,
        "--rate-per-conn": plan.rate_per_conn is not None,
        "--stage": bool(plan.stages),
        "--closed-loop": plan.closed_loop,
        "--messages": plan.messages is not None,
        "--lifetime": plan.lifetime_s is not None,
        "--behave": bool(plan.behave),
    }
    if given := [flag for flag, is_given in excluded.items() if is_given]:
        raise ValueError(f"{given[0]} and --scenario both say what users do: give one")
    if plan.arrive is not None and not plan.arrive:
        raise ValueError("--arrive has to be more than 0")


def check_replies(plan: Plan, payloads: Payloads) -> None:
    """Check that replies can be distinguished, also from frames that are no replies.

    :raises ValueError: if they can't.
    """
    verify = plan.matching
    if verify.find_own is not None:
        check_key(verify, plan.verify, payloads, payloads.render(0, 0))
    if verify.rule is Rule.FAN_OUT and not {"conn", "seq"} <= payloads.names:
        raise ValueError(
            "--verify fan-out tells copies apart by the message: it needs {conn} and {seq}"
        )
    if ANY in plan.ignore and verify.rule is not Rule.OFF:
        raise ValueError("--ignore any leaves no reply: it goes with --verify off")
    if plan.behave and verify.rule is Rule.FAN_OUT:
        raise ValueError("--behave: nobody knows what a socket that misbehaves in a room is owed")
    if plan.rooms > 1 and verify.rule is not Rule.FAN_OUT:
        raise ValueError("--rooms goes with --verify fan-out")
    if plan.rooms > 1 and ROOM not in plan.url:
        raise ValueError(f"--rooms: which room a socket is in is said by {ROOM} in the URL")
    if plan.target_of(0).authority != plan.target_of(1).authority:
        raise ValueError(f"{ROOM} goes into the path or query of the URL: all have one host")
    if plan.closed_loop and verify.rule is Rule.FAN_OUT:
        raise ValueError("--closed-loop awaits a reply, and fan-out has copies: give a rate")
    if plan.arrivals != "even" and plan.closed_loop:
        raise ValueError("--arrivals says when messages fall due: not with --closed-loop")


def check_handshake(plan: Plan, target: Target) -> None:
    """Check that the server can be asked for this, over such a connection.

    :raises ValueError: if it can't.
    """
    check_headers(plan.headers, plan.origin)
    if plan.proxy is not None:
        Proxy.parse(plan.proxy)
    if plan.key is not None and plan.cert is None:
        raise ValueError("--key goes with --cert, whose key it is")
    for flag, given in (
        ("--cacert", plan.cacert is not None),
        ("--cert", plan.cert is not None),
        ("--insecure", plan.insecure),
    ):
        if given and not target.tls:
            raise ValueError(f"{flag} goes with wss://, and {plan.url} is not")
    if plan.cacert is not None and plan.insecure:
        raise ValueError("--cacert says whom to trust, --insecure to trust anyone: give one")
    plan.request(target)("")
