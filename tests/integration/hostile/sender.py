"""Play an attack over many sockets with one epoll: a program of its own, and so no bottleneck.

Standard input: a pickled dictionary with the fields of an `Attack`, `address` and `count`; the
attack lasts until standard input ends. Standard output: `started` once every connection is
being dialled; at the end what was done, as JSON.

Nothing of the project is imported: it would cost the start of each attack half a second.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import Any

#: Writes of one connection before the next one gets its turn.
WRITES = 64
READ_BYTES = 256 * 1024
RESET = struct.pack("ii", 1, 0)
#: What a connection asks of epoll: while it is dialled, while it reads, and while it doesn't.
DIALLING = select.EPOLLOUT
HOLDING = select.EPOLLIN | select.EPOLLRDHUP
DEAF = select.EPOLLRDHUP


@dataclass(slots=True)
class Peer:
    """One hostile connection."""

    sock: socket.socket
    out: memoryview
    answered: bool
    turns: int = 0
    answer: bytes = b""


@dataclass
class Crowd:
    """All connections of an attacker."""

    address: tuple[str, int]
    attack: dict[str, Any]
    bytes_sent: int = 0
    dialled: int = 0
    cut: int = 0
    _peers: dict[int, Peer] = field(default_factory=dict)
    _scratch: bytearray = field(default_factory=lambda: bytearray(READ_BYTES))

    def __post_init__(self) -> None:
        self.epoll = select.epoll()
        self._block = memoryview(self.attack["block"])
        self._segment = self.attack["segment"]
        self._reading = HOLDING if self.attack["reads"] else DEAF

    def dial(self) -> None:
        """Connect once more."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self.attack["reads"]:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect_ex(self.address)
        opening = memoryview(self.attack["opening"])
        self._peers[sock.fileno()] = Peer(sock, opening, not self.attack["awaits"])
        self.epoll.register(sock.fileno(), DIALLING)
        self.dialled += 1

    def serve(self, fd: int, events: int) -> None:
        """Give a connection its turn."""
        peer = self._peers[fd]
        try:
            if events & (select.EPOLLERR | select.EPOLLHUP):
                raise ConnectionError
            if events & select.EPOLLIN:
                self._read(peer)
            elif events & select.EPOLLRDHUP:
                raise ConnectionError
            if events & select.EPOLLOUT:
                self._write(peer)
        except BlockingIOError:
            pass
        except OSError:
            self.cut += 1
            self._leave(fd, again=self.attack["redials"])

    def end(self) -> None:
        """Close all connections."""
        for peer in self._peers.values():
            peer.sock.close()

    def _read(self, peer: Peer) -> None:
        size = peer.sock.recv_into(self._scratch)
        if not size:
            if not self.attack["hangs_on"]:
                raise ConnectionError
            self.epoll.modify(peer.sock.fileno(), DIALLING)
            return
        if not peer.answered:
            peer.answer += self._scratch[:size]
            awaited = self.attack["awaits"]
            if len(peer.answer) >= len(awaited):
                if not peer.answer.startswith(awaited):
                    raise ConnectionError
                peer.answered = True
                self._next(peer)

    def _write(self, peer: Peer) -> None:
        for _ in range(WRITES):
            if not peer.out:
                self._next(peer)
                return
            piece = peer.out[: self._segment] if self._segment else peer.out
            sent = peer.sock.send(piece)
            self.bytes_sent += sent
            peer.out = peer.out[sent:]

    def _next(self, peer: Peer) -> None:
        """Find out what comes behind what was sent."""
        fd, attack = peer.sock.fileno(), self.attack
        if not peer.answered:
            self.epoll.modify(fd, HOLDING)
        elif self._block and (not attack["times"] or peer.turns < attack["times"]):
            peer.turns += 1
            peer.out = self._block
            self.epoll.modify(fd, self._reading | select.EPOLLOUT)
        elif attack["leaves"]:
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self._leave(fd, again=True)
        else:
            self.epoll.modify(fd, self._reading)

    def _leave(self, fd: int, *, again: bool) -> None:
        self.epoll.unregister(fd)
        self._peers.pop(fd).sock.close()
        if again:
            self.dial()


def main() -> None:
    attack = pickle.load(sys.stdin.buffer)
    crowd = Crowd(attack.pop("address"), attack)
    began_s = time.monotonic()
    for _ in range(attack.pop("count")):
        crowd.dial()
    stdin = sys.stdin.fileno()
    crowd.epoll.register(stdin, select.EPOLLIN)
    print("started", flush=True)
    while True:
        ready = crowd.epoll.poll()
        for fd, events in ready:
            if fd != stdin:
                crowd.serve(fd, events)
            elif not os.read(stdin, 1):
                crowd.end()
                done = {
                    "bytes": crowd.bytes_sent,
                    "dialled": crowd.dialled,
                    "cut": crowd.cut,
                    "seconds": time.monotonic() - began_s,
                    "cpu_s": time.process_time(),
                }
                print(json.dumps(done), flush=True)
                return


main()
