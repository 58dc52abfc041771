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
import select
import shutil
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

if __name__ == "__main__":
    import warm_start
else:
    from . import warm_start

#: What both programs come to import.
IMPORTED = (
    "echo_trio.cli", "echo_trio.service", "echo_trio.console.serve", "echo_trio.workers.supervisor",
    "loadgen.cli.load", "loadgen.cli.run", "loadgen.cli.capacity", "loadgen.report.text",
    "loadgen.engine.engine", "loadgen.processes.local", "loadgen.target_metrics.poll",
    "loadgen.report.csv", "loadgen.report.html", "loadgen.report.json", "loadgen.report.junit",
    "loadgen.report.markdown", "loadgen.report.stream", "encodings.idna", "rich._emoji_codes",
    "loadgen.cli.json_settings", "loadgen.cli.lines", "loadgen.cli.orders", "loadgen.cli.output",
    "loadgen.cli.history", "loadgen.cli.recover", "loadgen.history.file", "encodings.ascii",
)  # fmt: skip
#: Dask reads its settings when it is imported. Its workers look at their own stacks a hundred times
#: a second, for nobody here: a fifth of what the tests with a cluster take.
QUIET_DASK = {
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "500ms",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "5s",
}
#: One datagram, so that orders of several processes are whole; the kernel lets it have 208 KiB.
MAX_ORDER_BYTES = 2**17


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
    """The process that forks, for this one and the forks that it has from now on.

    :param also: modules that it imports beside what every program does.
    :ivar launcher: an executable that starts programs there, for who has only a command line.
    """

    def __init__(self, *also: str) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.launcher, listener = warm_start.make_launcher()
        with theirs, listener:
            passed = [theirs.fileno(), listener.fileno()]
            self._process = subprocess.Popen(
                [sys.executable, __file__, *map(str, passed), str(self.launcher), *also],
                pass_fds=passed,
                env=os.environ | QUIET_DASK,
            )
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
            socket.send_fds(self._socket, [message], passed)
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


def serve(
    sock: socket.socket | None, listener: socket.socket, launcher: Path, also: Sequence[str] = ()
) -> None:
    """Fork as told, until nobody is there to tell.

    :param sock: where the tests tell. None for launchers alone: the end of stdin is the end.
    :param listener: where launchers tell.
    :param also: modules to be imported beside what every program needs.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's is for the tests
    sys.path[0] = str(Path.cwd())  # as `python -m` has it
    try:
        for name in (*IMPORTED, *also):
            importlib.import_module(name)
        _read_flags()
        gc.collect()
        gc.freeze()
        _serve(sock, launcher, listener)
    finally:
        shutil.rmtree(launcher.parent)


def _serve(sock: socket.socket | None, launcher: Path, listener: socket.socket) -> None:
    poll = select.poll()
    tests = 0 if sock is None else sock.fileno()
    for each in (tests, listener):
        poll.register(each, select.POLLIN)
    while True:
        ready = [descriptor for descriptor, _ in poll.poll()]
        # Waited for now and then, so that they are no zombies until the end.
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        if listener.fileno() in ready:
            control, _ = listener.accept()
            if not os.fork():
                try:
                    if sock is not None:
                        sock.close()
                    listener.close()
                    _mind_launched(control, launcher)
                finally:
                    os._exit(0)
            control.close()
        if tests in ready and (sock is None or not _take(sock, launcher, listener)):
            return


def _take(sock: socket.socket, launcher: Path, listener: socket.socket) -> bool:
    """Take an order of the tests; returns false when there is none any more."""
    message, descriptors, _, _ = socket.recv_fds(sock, MAX_ORDER_BYTES, 8)
    if not message:
        return False
    if not os.fork():
        try:
            sock.close()
            listener.close()
            _mind(json.loads(message), launcher, *descriptors)
        finally:
            os._exit(0)
    for descriptor in descriptors:
        os.close(descriptor)
    return True


def _read_flags() -> None:
    """Have cyclopts look at the types of all flags here: it takes half of a short run's CPU.

    What it makes of them is used up by one command line, and so is each fork.
    """
    from cyclopts import field_info  # noqa: PLC0415 - in the starter alone

    from echo_trio import cli  # noqa: PLC0415
    from loadgen.cli import json_settings, load  # noqa: PLC0415

    # It asks for the hints of the same few classes again whenever it makes one of them.
    read_hints = functools.cache(field_info.get_type_hints)
    field_info.get_type_hints = lambda of, **how: dict(read_hints(of, **how))  # type: ignore[assignment]
    load.app.parse_args(["1"], exit_on_error=False)
    cli.app.parse_args([], exit_on_error=False)
    json_settings.settings()
    assemble = cyclopts.App.assemble_argument_collection
    # As often as one command line asks for it.
    apps = ((load.app, 1), (json_settings._app(), 1), (cli.app, 2), (cli.app.meta, 5))
    made = {id(app): [assemble(app) for _ in range(times)] for app, times in apps}

    def take(app: cyclopts.App, **how: Any) -> cyclopts.ArgumentCollection:
        ready = made.get(id(app))
        return ready.pop() if ready and not how else assemble(app, **how)

    cyclopts.App.assemble_argument_collection = take


def _mind(order: dict[str, Any], launcher: Path, control: int, *streams: int) -> None:
    """Start the program, and say how it ends."""
    pid = _fork(order, launcher, control, streams)
    os.write(control, f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    os.write(control, f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _mind_launched(control: socket.socket, launcher: Path) -> None:
    """Start the program for its launcher, pass signals on, and say how it ends."""
    order, streams = warm_start.read_order(control)
    warm_start.mind(_fork(order, launcher, control.fileno(), streams), control)


def _fork(order: dict[str, Any], launcher: Path, control: int, streams: Sequence[int]) -> int:
    pid = os.fork()
    if not pid:
        os.close(control)
        code = 1
        try:
            code = _become(order, launcher, streams)
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
    return pid


def _become(order: dict[str, Any], launcher: Path, streams: Sequence[int]) -> int:
    """Be the program; returns its exit code.

    :param launcher: what the server starts generators with, in the place of Python.
    """
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
    if order["module"] == "echo_trio" and warm_start.REAL_STARTS not in os.environ:
        sys.executable = str(launcher)
    if order.get("safe_path"):
        sys.path.pop(0)
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


def main(arguments: Sequence[str]) -> None:
    """Serve the tests in Python, or with no arguments launchers, of which stdout tells."""
    if arguments:
        tests, listener = (socket.socket(fileno=int(each)) for each in arguments[:2])
        serve(tests, listener, Path(arguments[2]), arguments[3:])
    else:
        launcher, listener = warm_start.make_launcher()
        print(launcher, flush=True)
        serve(None, listener, launcher)


if __name__ == "__main__":
    main(sys.argv[1:])
