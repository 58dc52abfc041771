"""Check what a fork server does for each order and each end, without a fork."""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from echo_trio.forks import server

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def start_child(
    status: socket.socket, children: dict[int, socket.socket], entry: Any = None
) -> int:
    """Have a child started that inherits a file; return the number of that."""
    descriptor = os.open(os.devnull, os.O_RDONLY)
    server._start_child("title", [status.detach(), descriptor], entry, children, ())
    return descriptor


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    killed = list[tuple[int, int]]()
    monkeypatch.setattr(server.os, "kill", lambda *who: killed.append(who))
    monkeypatch.setattr(server.os, "pidfd_open", lambda pid: os.open(os.devnull, os.O_RDONLY))
    return killed


def test_a_child_is_told_by_its_number_and_its_end_is_expected(pair, killed, monkeypatch) -> None:
    ours, theirs = pair
    monkeypatch.setattr(server.os, "fork", lambda: 4242)
    children = dict[int, socket.socket]()
    inherited = start_child(theirs, children)
    said, descriptors, _, _ = socket.recv_fds(ours, 100, 2)
    assert (said, len(descriptors)) == (b"started 4242", 1)
    os.close(descriptors[0])
    assert not is_open(inherited)
    assert list(children) == [4242]
    assert killed == []
    with pytest.raises(BlockingIOError):
        ours.recv(100)
    children[4242].close()


def test_a_fork_that_fails_is_told_and_nothing_of_it_is_kept(pair, killed, monkeypatch) -> None:
    def fork() -> int:
        raise OSError(errno.EAGAIN, "none is left")

    ours, theirs = pair
    monkeypatch.setattr(server.os, "fork", fork)
    children = dict[int, socket.socket]()
    inherited = start_child(theirs, children)
    assert ours.recv(100) == b"failed %d" % errno.EAGAIN
    assert ours.recv(100) == b""
    assert (children, killed, is_open(inherited)) == ({}, [], False)


def test_a_child_that_nobody_wants_any_more_is_killed_and_reaped_all_the_same(
    pair, killed, monkeypatch
) -> None:
    ours, theirs = pair
    ours.close()
    monkeypatch.setattr(server.os, "fork", lambda: 4242)
    children = dict[int, socket.socket]()
    start_child(theirs, children)
    assert killed == [(4242, signal.SIGKILL)]
    assert list(children) == [4242]
    children[4242].close()


def test_every_child_that_has_ended_is_told_once_as_it_ended(monkeypatch) -> None:
    pairs = [socket.socketpair(type=socket.SOCK_SEQPACKET) for _ in range(4)]
    children = {pid: theirs for pid, (_, theirs) in enumerate(pairs, 1)}
    how = {1: (1, 7 << 8), 2: (0, 0), 3: (3, signal.SIGTERM), 4: (4, 0)}
    asked = list[tuple[int, int]]()

    def waitpid(pid: int, options: int) -> tuple[int, int]:
        asked.append((pid, options))
        return how[pid]

    monkeypatch.setattr(server.os, "waitpid", waitpid)
    server._reap(children)
    assert asked == [(pid, os.WNOHANG) for pid in (1, 2, 3, 4)]
    assert list(children) == [2]
    for number, (ours, _) in enumerate(pairs, 1):
        ours.setblocking(False)
        if number == 2:
            with pytest.raises(BlockingIOError):
                ours.recv(100)
        else:
            code = {1: 7, 3: -signal.SIGTERM, 4: 0}[number]
            assert (ours.recv(100), ours.recv(100)) == (b"ended %d" % code, b"")
    asked.clear()
    server._reap(children)
    assert asked == [(2, os.WNOHANG)]
    for pair in pairs:
        for end in pair:
            end.close()


def test_an_order_is_a_title_and_files_and_none_once_the_parent_has_gone(pair) -> None:
    ours, theirs = pair
    socket.send_fds(ours, [b"t" * server.MAX_ORDER_BYTES], [0] * server.MAX_DESCRIPTORS)
    title, descriptors = server._receive_order(theirs)
    assert (title, len(descriptors)) == (b"t" * 1024, 250)
    for descriptor in descriptors:
        os.close(descriptor)
    theirs.send(b"unread")
    ours.close()
    for _ in range(2):  # The first time it is told of what was not read.
        assert server._receive_order(theirs) == (b"", [])


class Ended(BaseException):
    """The process has ended."""


def entry_of(what: Any) -> Callable[[Any], int]:
    def entry(descriptors: Any) -> int:
        assert descriptors == [5, 6]
        if isinstance(what, BaseException):
            raise what
        return what

    return entry


@pytest.mark.parametrize(
    ("does", "code", "says"),
    [
        (7, 7, ""),
        (0, 0, ""),
        (SystemExit(3), 3, ""),
        (SystemExit(None), 0, ""),
        (SystemExit("why"), 1, ""),
        (ZeroDivisionError("of the test"), 1, "ZeroDivisionError: of the test"),
        (KeyboardInterrupt(), 1, "KeyboardInterrupt"),
    ],
    ids=repr,
)
def test_a_child_ends_with_the_code_of_what_it_ran_and_writes_what_it_has_to_say(
    monkeypatch, capsys, does: Any, code: int, says: str
) -> None:
    done = list[Any]()

    def leave(code: int) -> None:
        done.append(code)
        raise Ended

    monkeypatch.setattr(server, "set_title", done.append)
    monkeypatch.setattr(server.threading, "_shutdown", lambda: done.append("threads"))
    monkeypatch.setattr(server.atexit, "_run_exitfuncs", lambda: done.append("atexit"))
    out = SimpleNamespace(flush=lambda: done.append("flushed"))
    monkeypatch.setattr(server.sys, "stdout", out)
    monkeypatch.setattr(server.os, "_exit", leave)
    with pytest.raises(Ended):
        server._be_child("title", [5, 6], entry_of(does))
    assert done == ["title", "threads", "atexit", "flushed", code]
    told = capsys.readouterr().err
    assert says in told
    assert bool(told) is bool(says)


def test_a_child_has_its_own_files_and_none_of_the_fork_servers(pair, monkeypatch) -> None:
    """Not its siblings' sockets either: the parent would not see the end of those."""
    ours, theirs = pair
    (sibling, kept), (own, also_kept) = socket.socketpair(), socket.socketpair()
    for end in (kept, also_kept):
        end.setblocking(False)
    descriptor = os.open(os.devnull, os.O_RDONLY)
    done = list[Any]()

    def be_child(*what: Any) -> None:
        done.append(what)
        raise Ended

    with monkeypatch.context() as patch:
        patch.setattr(server.os, "fork", lambda: 0)
        patch.setattr(server.signal, "set_wakeup_fd", done.append)
        patch.setattr(server.signal, "signal", lambda *what: done.append(what))
        patch.setattr(server, "_be_child", be_child)
        given: Any = ("title", [theirs.detach(), descriptor], "entry", {4241: sibling}, [own])
        with pytest.raises(Ended):
            server._start_child(*given)
    assert done == [-1, (signal.SIGCHLD, signal.SIG_DFL), ("title", [descriptor], "entry")]
    assert [ours.recv(1), kept.recv(1), also_kept.recv(1)] == [b"", b"", b""]
    assert is_open(descriptor)
    os.close(descriptor)
    for end in (kept, also_kept):
        end.close()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_fork_server_is_ready_if_what_it_imports_has_started_no_thread(
    pair, monkeypatch, threads: int
) -> None:
    served = list[Any]()
    monkeypatch.setattr(server, "count_threads", lambda: threads)
    monkeypatch.setattr(server, "_serve", lambda *what: served.append(what))
    imported = list[str]()

    def import_module(name: str) -> Any:
        imported.append(name)
        return SimpleNamespace(main="entry")

    monkeypatch.setattr(server.importlib, "import_module", import_module)
    server.run(pair[1], "a.module")
    assert imported == ["a.module"]
    assert served == ([(pair[1], "entry")] if threads == 1 else [])


def test_of_the_parents_files_three_are_left_and_the_others_lead_nowhere(monkeypatch) -> None:
    """Stderr, the socket to the parent, and what the others lead to, which is closed at the end."""
    replaced, closed = list[Any](), list[int]()
    with monkeypatch.context() as patch:
        patch.setattr(server, "_open_files", lambda: [0, 1, 2, 5, 9, 11])
        patch.setattr(server.os, "open", lambda *_: 9)
        patch.setattr(
            server.os, "dup2", lambda *which, inheritable: replaced.append((*which, inheritable))
        )
        patch.setattr(server.os, "close", closed.append)
        server._let_go(except_for=11)
    assert replaced == [(9, 0, True), (9, 1, True), (9, 5, False)]
    assert closed == [9]


def test_open_files_are_those_that_are_open(pair) -> None:
    found = server._open_files()
    assert {0, 1, 2, pair[0].fileno(), pair[1].fileno()} <= set(found)
    assert all(map(is_open, found))


@pytest.fixture
def signals() -> Iterator[None]:
    """What is done to signals is undone."""
    handler = signal.getsignal(signal.SIGCHLD)
    yield
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, handler)


@pytest.mark.usefixtures("signals")
def test_it_forks_for_each_order_and_looks_who_has_ended_until_the_parent_is_gone(
    pair, monkeypatch
) -> None:
    ours, theirs = pair
    done, frozen, files = list[Any](), list[None](), list[Any]()

    def start_child(title: str, descriptors: list[int], *what: Any) -> None:
        entry, children, own = what
        done.append((title, len(descriptors), entry))
        files[:] = own
        for descriptor in descriptors:
            os.close(descriptor)
        children[len(done)] = theirs
        os.kill(os.getpid(), signal.SIGCHLD)

    monkeypatch.setattr(server, "_start_child", start_child)
    monkeypatch.setattr(server, "_reap", lambda children: done.append(sorted(children)))
    monkeypatch.setattr(server.gc, "freeze", lambda: frozen.append(None))
    for title in (b"one", b"other"):
        socket.send_fds(ours, [title], [0, 1])
    ours.shutdown(socket.SHUT_WR)
    server._serve(theirs, "entry")  # type: ignore[arg-type]
    signal.set_wakeup_fd(-1)
    assert files.pop(0) is theirs
    for file in files:
        file.close()
    assert done[0] == ("one", 2, "entry")
    # Who has ended is looked at before the next order, or with it.
    assert [each for each in done if each != []] == [
        ("one", 2, "entry"), [1], ("other", 2, "entry"), [1, 3],
    ]  # fmt: skip
    assert (ours.recv(100), frozen) == (server.READY, [None])


@pytest.mark.parametrize("fails", [False, True])
def test_a_fork_of_the_parent_has_nothing_of_it_and_ends_when_its_work_is_done(
    pair, monkeypatch, capsys, fails: bool
) -> None:
    done = list[Any]()

    def leave(code: int) -> None:
        done.append(code)
        raise Ended

    def run(parent: socket.socket, module: str) -> None:
        done.append((parent, module))
        if fails:
            raise ZeroDivisionError("of the test")

    handlers = {1: lambda *_: None, 2: signal.SIG_DFL, 3: signal.SIG_IGN, 4: print}
    reset = list[Any]()
    with monkeypatch.context() as patch:
        patch.setattr(server, "set_title", done.append)
        patch.setattr(server.atexit, "_clear", lambda: done.append("atexit"))
        patch.setattr(server, "_let_go", lambda *, except_for: done.append(except_for))
        patch.setattr(server.signal, "valid_signals", lambda: handlers)
        patch.setattr(server.signal, "getsignal", handlers.__getitem__)
        patch.setattr(server.signal, "signal", lambda *what: reset.append(what))
        patch.setattr(server, "run", run)
        patch.setattr(server.os, "_exit", leave)
        with pytest.raises(Ended):
            server.become(pair[1], "a.module")
    work = (pair[1], "a.module")
    assert done == [server.TITLE, "atexit", pair[1].fileno(), work, int(fails)]
    assert [(number, how) for number, how in reset if number in (1, 4)] == [
        (1, signal.SIG_DFL), (4, signal.SIG_DFL)
    ]  # fmt: skip
    assert len([number for number, _ in reset if number in (2, 3)]) == 0
    assert ("ZeroDivisionError: of the test" in capsys.readouterr().err) is fails
