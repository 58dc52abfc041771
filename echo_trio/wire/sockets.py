"""Listen, accept in bulk, and connect from a chosen address: TCP as both ends need it."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn

import trio

try:
    import fcntl
    import termios
except ImportError:  # Windows
    fcntl = termios = None  # type: ignore[assignment]

#: As long as the system allows (net.core.somaxconn): a crowd arrives at once.
BACKLOG: Final = 65_535
#: Connections accepted between two looks at Trio's other tasks.
ACCEPT_BATCH: Final = 64
#: The pause of accepting when the machine is out of descriptors or memory.
OUT_OF_RESOURCES_PAUSE_S: Final = 0.1
_OUT_OF_DESCRIPTORS: Final = {errno.EMFILE, errno.ENFILE}
#: The errors by which accept(2) reports a connection that has ended already: no fault of the
#: listener.
_GONE: Final = {
    errno.ECONNABORTED,
    errno.ECONNRESET,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.ENOPROTOOPT,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.EPROTO,
    errno.ETIMEDOUT,
}

# Linux's <linux/in.h>; Python 3.11 has no names for these. They work on IPv6 sockets too.
_IP_BIND_ADDRESS_NO_PORT: Final = 24
_IP_LOCAL_PORT_RANGE: Final = 51
#: From 1 to 65535: whatever the system's own range is, the kernel keeps to it.
_ALL_PORTS: Final = struct.pack("=I", 65_535 << 16 | 1)

#: The most unread bytes that are counted by looking at them, where the system does not tell their
#: number; as many as its buffer takes by default (Windows).
_PEEKED_BYTES: Final = 65_536

#: Non-blocking, `connect` says by this error that it goes on; Windows has one of its own.
_GOES_ON: Final = errno.EWOULDBLOCK if sys.platform == "win32" else errno.EINPROGRESS

#: True where the kernel spreads new connections over all sockets that listen on one port: then
#: several processes can serve it. Elsewhere SO_REUSEPORT, if it exists, gives all to one of them.
SPREADS: Final = sys.platform == "linux" and hasattr(socket, "SO_REUSEPORT")

#: The type of a new stream socket; where the system can make it non-blocking at once, it does.
_STREAM: Final = socket.SOCK_STREAM | getattr(socket, "SOCK_NONBLOCK", 0)
_BEGINS_NON_BLOCKING: Final = _STREAM != socket.SOCK_STREAM

#: True where sending on a socket that is still connecting says so, or why it will not connect.
_SENDS_AT_ONCE: Final = sys.platform == "linux"

#: True where a socket that was accepted has its listener's options.
_INHERITS_NO_DELAY: Final = sys.platform == "linux"

OnAccept = Callable[[socket.socket, str], None]
Address = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]


def listen(host: str, port: int) -> list[socket.socket]:
    """Listen on every address that `host` stands for, all on one port.

    :param port: 0 takes a free one.
    :returns: the listening sockets, non-blocking.
    :raises OSError: if an address can't be had; the message names it.
    """
    listeners: list[socket.socket] = []
    try:
        for family, address in _resolve_own(host, port):
            # The first address has chosen the port for all.
            port = listeners[0].getsockname()[1] if listeners else port
            listeners.append(_listen_on(family, (address[0], port, *address[2:])))
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def share(listeners: list[socket.socket]) -> list[Address]:
    """Allow more sockets of this user to `join` these; return the addresses to join.

    The first socket listened without SO_REUSEPORT, so no other process listens there; and while it
    exists, another server's `listen` fails with "address in use". SO_REUSEPORT from the start would
    let a second server of the same user in, unnoticed.
    """
    for listener in listeners:
        _let_others_join(listener)
    return [(listener.family, listener.getsockname()) for listener in listeners]


def join(addresses: list[Address]) -> list[socket.socket]:
    """Listen beside the sockets on these addresses; the kernel spreads new connections over all.

    :raises OSError: if an address can't be joined; the message names it.
    """
    listeners: list[socket.socket] = []
    try:
        for family, address in addresses:
            listeners.append(_listen_on(family, address, beside_others=True))
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _resolve_own(host: str, port: int) -> list[Address]:
    try:
        return _resolve(host, port, socket.AI_PASSIVE)
    except socket.gaierror as exc:
        raise OSError(exc.errno, f"can't listen on {host}: {exc.strerror}") from None


def _listen_on(
    family: socket.AddressFamily, address: tuple[str | int, ...], *, beside_others: bool = False
) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        claim_port(listener)
        if beside_others:
            _let_others_join(listener)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # For those that are accepted: a connection takes its options over before that.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as exc:
        listener.close()
        name = authority(str(address[0]), int(address[1]))
        raise OSError(exc.errno, f"can't listen on {name}: {exc.strerror or exc}") from None
    except BaseException:
        listener.close()
        raise
    return listener


def claim_port(listener: socket.socket) -> None:
    """Let a socket take a port in TIME_WAIT, and none that is listened on; to be called first."""
    if sys.platform == "win32":
        # There SO_REUSEADDR would share a port that another program listens on.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def _let_others_join(listener: socket.socket) -> None:
    if not hasattr(socket, "SO_REUSEPORT"):
        raise OSError(errno.ENOTSUP, "this system has no SO_REUSEPORT")
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


async def accept_forever(
    listener: socket.socket,
    on_accept: OnAccept,
    on_fault: Callable[[OSError], None],
    on_excess: OnAccept | None = None,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Accept connections, many at a time, until cancelled.

    :param listener: one that `listen` or `join` has made.
    :param on_accept: takes each new socket, non-blocking and without Nagle's delay, and the address
        of the other end, as `authority` writes it.
    :param on_fault: called when accepting fails because the machine has run out of descriptors or
        memory, or the listener is broken; accepting goes on after a pause. A connection that ended
        before it was accepted is no fault.
    :param on_excess: takes a socket for which there was no descriptor left but one kept in reserve:
        it has to turn the client away, and the socket is closed at once. Without `on_excess` such a
        connection stays in the backlog until others have gone.
    """
    reserve = _Reserve(on_excess)
    task_status.started()
    try:
        while True:
            await trio.lowlevel.wait_readable(listener)
            try:
                for _ in range(ACCEPT_BATCH):
                    on_accept(*_accept(listener))
            except BlockingIOError:
                pass
            except OSError as exc:
                if exc.errno in _GONE:
                    continue
                on_fault(exc)
                if exc.errno not in _OUT_OF_DESCRIPTORS or not reserve.spend(listener):
                    await trio.sleep(OUT_OF_RESOURCES_PAUSE_S)
    finally:
        reserve.close()


def _accept(listener: socket.socket) -> tuple[socket.socket, str]:
    sock, address = listener.accept()
    if _INHERITS_NO_DELAY:
        sock.setblocking(False)
    else:
        prepare(sock)
    # Some systems no longer know the address of a peer that has left.
    return sock, authority(address[0], address[1]) if address else ""


class _Reserve:
    """A descriptor kept in reserve for when there is none left."""

    def __init__(self, on_excess: OnAccept | None) -> None:
        self._on_excess = on_excess
        self._fd: int | None = None
        self._refill()

    def spend(self, listener: socket.socket) -> bool:
        """Accept one connection for `on_excess`, and close it; false if even this can't be done."""
        if self._on_excess is None:
            return False
        if self._fd is None:
            self._refill()
        self.close()
        try:
            sock, peer = _accept(listener)
            with sock:
                self._on_excess(sock, peer)
        except OSError:
            return False
        finally:
            self._refill()
        return True

    def close(self) -> None:
        """Give the descriptor back. Idempotent."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _refill(self) -> None:
        with suppress(OSError):
            self._fd = os.open(os.devnull, os.O_RDONLY)


def prepare(sock: socket.socket) -> None:
    """Make a socket non-blocking, and switch off Nagle's delay for small messages."""
    sock.setblocking(False)
    with suppress(OSError):  # Its peer is gone already, which reading will tell.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


async def resolve(host: str, port: int) -> list[Address]:
    """Resolve a host to all its addresses, in the system's order of preference.

    Cancelled: returns at once, and leaves the system's look-up to its thread.

    :raises OSError: (`socket.gaierror`) if there is none.
    """
    return await trio.to_thread.run_sync(_resolve, host, port, abandon_on_cancel=True)


async def connect(
    address: Address, source: str | None = None, first: bytes | None = None
) -> socket.socket:
    """Open a TCP connection to one address.

    Cancelled: the socket is closed.

    :param source: the local address to connect from; by default the system chooses.
    :param first: bytes to send as soon as it is open, as many as a fresh socket's buffer takes.
    :returns: a connected, non-blocking socket.
    :raises OSError: if that fails, also when local ports or descriptors have run out.
    """
    sock, is_done = begin_connecting(address, source, first)
    if not is_done:
        await finish_connecting(sock, first)
    return sock


def begin_connecting(
    address: Address, source: str | None = None, first: bytes | None = None
) -> tuple[socket.socket, bool]:
    """Begin to open a TCP connection, and open it if that takes no waiting.

    To a peer on this machine it is open at once, and `first` is then sent here.

    :param source: as of `connect`.
    :param first: as of `connect`.
    :returns: a non-blocking socket, and true if it is connected and `first` is sent; otherwise
        `finish_connecting` has to do that.
    :raises OSError: if that fails already.
    """
    family, target = address
    sock = socket.socket(family, _STREAM)
    try:
        if not _BEGINS_NON_BLOCKING:
            sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _search_all_ports(sock)
        if source is not None:
            _bind_address(sock, source)
        error = sock.connect_ex(target)
        if error == _GOES_ON:
            return sock, first is not None and _SENDS_AT_ONCE and _is_sent(sock, first)
        if error:
            raise OSError(error, describe_error(error))
        if first is not None:
            send_head(sock, first)
    except BaseException:
        sock.close()
        raise
    return sock, True


async def finish_connecting(sock: socket.socket, first: bytes | None = None) -> None:
    """Wait until a socket is connected that was not yet, and send `first`.

    Cancelled, or failed: the socket is closed.

    :raises OSError: if it does not connect.
    """
    try:
        await trio.lowlevel.wait_writable(sock)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, describe_error(error))
        if first is not None:
            send_head(sock, first)
    except BaseException:
        sock.close()
        raise


def _is_sent(sock: socket.socket, data: bytes) -> bool:
    """Send bytes on a socket that may not be connected yet; false if it is not.

    :raises OSError: if connecting has failed, with the error that says why.
    """
    try:
        send_head(sock, data)
    except BlockingIOError:
        return False
    return True


def describe_error(error: int) -> str:
    """Describe an error of a socket; Windows has numbers for them that `strerror` doesn't know.

    :param error: as in `errno`.
    """
    texts: dict[int, str] = getattr(socket, "errorTab", {})
    return texts.get(error) or os.strerror(error)


def _search_all_ports(sock: socket.socket) -> None:
    """Let `connect` search all local ports for a free one in turn (Linux 6.3).

    By default it tries every second one first: from an address with half of its ports in use to one
    destination, each further connection looks at all of that half in vain, which takes a
    millisecond. With a range of the socket's own, which any is, it goes on where it stopped.
    """
    if sys.platform == "linux":  # Elsewhere that number is another option's.
        try:  # noqa: SIM105 - each socket that opens comes here, and `suppress` costs as much again
            sock.setsockopt(socket.IPPROTO_IP, _IP_LOCAL_PORT_RANGE, _ALL_PORTS)
        except OSError:  # before Linux 6.3
            pass


def _bind_address(sock: socket.socket, source: str) -> None:
    """Choose the local address, and leave the port to `connect`.

    A port chosen here would be taken for every destination, not for this one only: then all source
    addresses together would have no more ports than one has.
    """
    if sys.platform == "linux":  # Elsewhere that number is another option's.
        with suppress(OSError):  # before Linux 4.2
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((source, 0))


async def receive_some(sock: socket.socket, size_bytes: int, flags: int = 0) -> bytes:
    """Wait for bytes to arrive on a non-blocking socket, TLS or not; an empty result is the end.

    :param flags: as for recv(2); TLS supports none.
    :raises OSError: if the connection has broken.
    """
    while True:
        # Waiting first: trying first would cost an exception nearly every time.
        await trio.lowlevel.wait_readable(sock)
        try:
            return sock.recv(size_bytes, flags)
        except BlockingIOError:
            continue


def send_head(sock: socket.socket, data: bytes) -> None:
    """Send an HTTP head, at once, on a fresh socket, whose buffer takes one whole.

    :raises OSError: if it does not, or the connection has broken: it is none to keep.
    """
    if sock.send(data) != len(data):
        raise OSError(errno.ENOBUFS, "the kernel did not take the whole head")


def unread_bytes(sock: socket.socket) -> int:
    """Count bytes that have arrived and are not received, for TLS encrypted ones; 0 if unknown."""
    if not hasattr(fcntl, "ioctl") or not hasattr(termios, "FIONREAD"):
        try:
            # Past TLS, if there is any, at what the kernel has.
            return len(socket.socket.recv(sock, _PEEKED_BYTES, socket.MSG_PEEK))
        except (OSError, ValueError):
            return 0
    there = bytearray(struct.calcsize("i"))
    try:
        fcntl.ioctl(sock, termios.FIONREAD, there)
    except (OSError, ValueError):
        return 0
    return int(struct.unpack("i", there)[0])


def _counts() -> bool:
    """Tell whether the system tells how much was not received yet."""
    return hasattr(fcntl, "ioctl") and hasattr(termios, "FIONREAD")


def is_receive_buffer_full(sock: socket.socket) -> bool:
    """Return true if the peer can send hardly any more, because so much was not received yet.

    Then its end stays hidden behind what its own kernel still keeps. How much of the buffer
    segments take beside their payload, the kernel does not tell: from a quarter on it counts as
    full (seen on Linux 6.18: 78 to 98 %). So does as much as can be counted by looking.
    """
    try:
        size = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    except OSError:
        return False
    return unread_bytes(sock) >= min(size / 4, _PEEKED_BYTES if not _counts() else size)


def is_reset(sock: socket.socket) -> bool:
    """Return true if TCP has ended in both directions, even if there is still data to receive.

    Elsewhere than on Linux the socket's pending error tells, which is taken from it: so a caller to
    whom this says true ends the connection. The poll of macOS reports a hang-up only to those who
    ask for bytes as well, and then calls the end of one half so. Windows drops what is left when
    the reset comes, and fails to receive.
    """
    if sys.platform == "linux" and hasattr(select, "poll"):
        state = select.poll()
        state.register(sock, 0)
        return any(events & (select.POLLHUP | select.POLLERR) for _, events in state.poll(0))
    try:
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return True
        socket.socket.recv(sock, 1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False


def is_at_end(sock: socket.socket) -> bool:
    """Return true if the peer has ended its half of TCP, and there is nothing left to receive."""
    try:
        return not socket.socket.recv(sock, 1, socket.MSG_PEEK)
    except OSError:
        return False


def is_readable(sock: socket.socket) -> bool:
    """Tell whether there is something to read, or the end, or an error."""
    if sys.platform != "win32" and hasattr(select, "poll"):
        ready = select.poll()
        ready.register(sock, select.POLLIN)
        return bool(ready.poll(0))
    return bool(select.select([sock], [], [], 0)[0])


def authority(host: str, port: int) -> str:
    """Write host and port as a URL has them: an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def own_authority(listener: socket.socket) -> str:
    """Write a listener's address and port as a URL has them, a zone as RFC 6874 does."""
    host, port, *more = listener.getsockname()
    if more and (scope := more[1]):
        host = f"{host}%25{socket.if_indextoname(scope)}"
    return authority(host, port)


def _resolve(host: str, port: int, flags: int = 0) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    addresses = [(family, address) for family, _, _, _, address in found]
    return list(dict.fromkeys(addresses))  # type: ignore[arg-type]
