"""Start our programs in forks of a process that has imported them: a test waits for what it tests.

`python -m echo_trio` and `python -m loadgen` take half a second of CPU before their first line of
work, and the tests start them some five hundred times. Here one process imports them once; each
start is a fork of it, with arguments, environment, folder and standard streams of its own, as a new
process would have them. What concerns the start itself – signals amid imports, terminals, process
groups, other people's interpreters – is tested with real starts (`subprocess`).

    the tests ──(where, what, streams)──► starter ──fork──► minder ──fork──► the program
        ▲                                                     │
        └──────────────(its pid, then how it ended)───────────┘
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import random
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import cyclopts

#: What both programs come to import.
IMPORTED = (
    "echo_trio.cli", "echo_trio.service", "echo_trio.console.serve", "echo_trio.workers.supervisor",
    "loadgen.cli.load", "loadgen.cli.run", "loadgen.cli.capacity", "loadgen.report.text",
    "loadgen.engine.engine", "loadgen.processes.local", "loadgen.target_metrics.poll",
    "loadgen.report.csv", "loadgen.report.html", "loadgen.report.json", "loadgen.report.junit",
    "loadgen.report.markdown", "loadgen.report.stream", "encodings.idna", "rich._emoji_codes",
)  # fmt: skip
MAX_ORDER_BYTES = 2**18


class Started:
    """A program that was started; as far as tests need it, a `subprocess.Popen`."""

    def __init__(self, args: Sequence[str], control: socket.socket, stdout: IO[str] | None) -> None:
        self.args = args
        self._control = control
        self._said = control.makefile("r")
        self.stdout = stdout
        self.returncode: int | None = None
        self.pid = int(self._said.readline())

    def poll(self) -> int | None:
        """How it ended, if it has."""
        if self.returncode is None:
            self._control.setblocking(False)
            try:
                if self._control.recv(1, socket.MSG_PEEK):
                    self._note_end()
            except BlockingIOError:
                pass
            finally:
                if self._control.fileno() >= 0:
                    self._control.setblocking(True)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; returns how it ended.

        :raises subprocess.TimeoutExpired: if it takes longer than this.
        """
        if self.returncode is None:
            self._control.settimeout(timeout)
            try:
                self._control.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0) from None
            self._control.settimeout(None)
            self._note_end()
        assert self.returncode is not None
        return self.returncode

    def _note_end(self) -> None:
        self._control.setblocking(True)
        self.returncode = int(self._said.readline())
        self._said.close()
        self._control.close()

    def send_signal(self, number: int) -> None:
        """Signal it, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def communicate(self, timeout: float | None = None) -> tuple[str | None, None]:
        """Wait for its end; returns what of its output nobody has read.

        :raises subprocess.TimeoutExpired: if it takes longer than this; it is killed.
        """
        late = threading.Event()

        def end() -> None:
            late.set()
            self.kill()

        timer = threading.Timer(threading.TIMEOUT_MAX if timeout is None else timeout, end)
        timer.start()
        try:
            text = None
            if self.stdout is not None and not self.stdout.closed:
                text = self.stdout.read()
                self.stdout.close()
            self.wait()
        finally:
            timer.cancel()
            timer.join()
        if late.is_set():
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return text, None


class Starter:
    """The process that forks.

    :param also: modules that it imports beside what every program does.
    """

    def __init__(self, *also: str) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno()), *also],
                pass_fds=[theirs.fileno()],
            )
        self._lock = threading.Lock()
        atexit.register(self._end)

    def _end(self) -> None:
        self._socket.close()
        self._process.wait()

    def start(
        self,
        module: str,
        *arguments: str,
        stdout: int | IO[Any] | None = subprocess.PIPE,
        stderr: int | IO[Any] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Started:
        """`python -m module`, with streams as `subprocess.Popen` takes them, in text."""
        order = {
            "module": module,
            "arguments": arguments,
            "environment": dict(os.environ if env is None else env),
            "folder": str(Path.cwd()),
        }
        ours, theirs = socket.socketpair()
        reading = writing = None
        if stdout == subprocess.PIPE:
            reading, writing = os.pipe()
            stdout = writing
        message = json.dumps(order).encode()
        assert len(message) < MAX_ORDER_BYTES
        with open(os.devnull) as nothing, theirs:  # noqa: PTH123
            passed = [theirs.fileno(), nothing.fileno()]
            passed += [_descriptor(stdout, 1), _descriptor(stderr, 2)]
            with self._lock:
                socket.send_fds(self._socket, [len(message).to_bytes(4, "big")], passed)
                self._socket.sendall(message)
        if writing is not None:
            os.close(writing)
        return Started(arguments, ours, None if reading is None else os.fdopen(reading))


def _descriptor(stream: int | IO[Any] | None, inherited: int) -> int:
    if stream is None:
        return inherited
    return stream if isinstance(stream, int) else stream.fileno()


@functools.cache
def starter(*also: str) -> Starter:
    """The one of this process whose programs need these modules, too."""
    return Starter(*also)


def run(
    module: str, *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 120.0
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, in text, as `subprocess.run` does with captured output."""
    outer, inner = os.pipe()
    process = starter().start(module, *arguments, stderr=inner, env=env)
    os.close(inner)
    said: list[str] = []
    with os.fdopen(outer) as stderr:
        reader = threading.Thread(target=lambda: said.append(stderr.read()))
        reader.start()
        stdout, _ = process.communicate(timeout)
        reader.join()
    return subprocess.CompletedProcess([module, *arguments], process.wait(), stdout, said[0])


# -- In the starter -----------------------------------------------------------------------------


def serve(sock: socket.socket, also: Sequence[str]) -> None:
    """Fork as told, until nobody is there to tell."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's is for the tests
    sys.path[0] = str(Path.cwd())  # as `python -m` has it
    for name in (*IMPORTED, *also):
        importlib.import_module(name)
    _read_flags()
    gc.collect()
    gc.freeze()
    while True:
        head, descriptors, _, _ = socket.recv_fds(sock, 4, 8)
        # Waited for now and then, so that what they took of the CPU is in the tests' account.
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        if not head:
            return
        size, message = int.from_bytes(head, "big"), b""
        while len(message) < size:
            message += sock.recv(size - len(message))
        if not os.fork():
            try:
                sock.close()
                _mind(json.loads(message), *descriptors)
            finally:
                os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)


def _read_flags() -> None:
    """Have cyclopts look at the types of all flags here: it takes half of a short run's CPU.

    What it makes of them is used up by one command line, and so is each fork.
    """
    from echo_trio import cli  # noqa: PLC0415 - in the starter alone
    from loadgen.cli import load  # noqa: PLC0415

    load.app.parse_args(["1"], exit_on_error=False)
    cli.app.parse_args([], exit_on_error=False)
    assemble = cyclopts.App.assemble_argument_collection
    # As often as one command line asks for it.
    made = {
        id(app): [assemble(app) for _ in range(times)]
        for app, times in ((load.app, 1), (cli.app, 2), (cli.app.meta, 5))
    }

    def take(app: cyclopts.App, **how: Any) -> cyclopts.ArgumentCollection:
        ready = made.get(id(app))
        return ready.pop() if ready and not how else assemble(app, **how)

    cyclopts.App.assemble_argument_collection = take


def _mind(order: dict[str, Any], control: int, *streams: int) -> None:
    """Start the program, and say how it ends."""
    pid = os.fork()
    if not pid:
        os.close(control)
        code = 1
        try:
            code = _become(order, streams)
        except BaseException:  # noqa: BLE001 - as an interpreter does at its end
            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                try:
                    stream.flush()
                except (OSError, ValueError):
                    code = code or 120
            os._exit(code)
    for stream in streams:
        os.close(stream)
    os.write(control, f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    os.write(control, f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _become(order: dict[str, Any], streams: Sequence[int]) -> int:
    """Be the program; returns its exit code."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.closerange(3, 256)
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin = os.fdopen(0)
    sys.stdout = os.fdopen(1, "w", 1 if os.isatty(1) else -1)
    sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace")
    sys.argv = [order["module"], *order["arguments"]]
    random.seed()
    time.tzset()
    try:
        runpy.run_module(order["module"], run_name="__main__", alter_sys=True)
    except SystemExit as exit_:
        if exit_.code is None or isinstance(exit_.code, int):
            return exit_.code or 0
        print(exit_.code, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
