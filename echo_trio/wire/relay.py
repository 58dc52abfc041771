"""Pass what arrives on one connection on to another, frame by frame: the two ends of a proxy.

    client ═► Relay (server's end) ──Way──► Relay (client's end) ═► upstream
    client ◄═ Relay (server's end) ◄──Way── Relay (client's end) ◄═ upstream

A `Relay` is a `Connection` that answers nothing itself. While its way is direct, a message is never
whole here: frames that have arrived whole are passed on in one write, and of longer ones each part
as it comes, as a fragment of its own (RFC 6455, section 5.4: an intermediary may change the
fragmentation of messages where it knows all extensions). So a ping or a close frame has its place
even amid a long message. Otherwise messages go to `on_message` whole, and whoever holds the way
sends them on.

Text is checked on the way, and every other rule of the protocol as well: an end that breaks it is
told by us, and the other end never sees it.
"""

from __future__ import annotations

from typing import Final, Protocol

from echo_trio.wire import frames
from echo_trio.wire.close_codes import ABNORMAL_CLOSURE, INTERNAL_ERROR
from echo_trio.wire.connection import _TURN_OVER as TURN_OVER
from echo_trio.wire.connection import FRAMES_PER_TURN, INFLATED_BYTES_PER_TURN, Connection
from echo_trio.wire.observed import ObservedConnection

#: The part of a long frame that is passed on before the frame is whole. Shorter frames wait for
#: their end, so that a peer whose bytes trickle in makes no fragment of each.
PIECE_BYTES: Final = 16 * 1024
_TURN: Final = range(FRAMES_PER_TURN)


class Way(Protocol):
    """The way from one relay's peer to the other relay's.

    :ivar lost: the number of messages that came and could not be passed on.
    """

    lost: int

    def block(self) -> None:
        """Stop reading from the source until the kernel has taken what the other end was sent."""

    def source_ended(self) -> None:
        """Note that nothing more comes from the source; called several times, perhaps."""


class Relay(Connection):
    """One end of a proxy's pair.

    :ivar other: the other end; set before `run`.
    :ivar way: the way of what arrives here; set before `run`.
    :ivar is_direct: true if the next message may be passed on while it arrives; set by the way.
        It is kept here because each object that a message touches costs it cold cache lines.
    """

    other: Relay
    way: Way
    is_direct: bool = False

    _passed: list[bytes] | None = None  # in this wake-up, not yet written to the other end
    _verdict: tuple[int, str | None] | None = None  # of `_fail`, until the peer is told

    # -- Receiving -------------------------------------------------------------------------

    def _receive(self, data: bytes) -> None:
        begun = self._incoming
        if begun is not None:
            if isinstance(begun, frames.Passing):
                self._receive_directly(data)
            else:
                super()._receive(data)
        elif not self.is_direct:
            super()._receive(data)
        elif self._head or self._held_to_read or not self._pass_single(data):
            self._receive_directly(data)

    def _pass_single(self, data: bytes) -> bool:
        """Pass on a message that has arrived alone and whole, as most do; false if it hasn't."""
        client = self._client
        try:
            plain = frames.decode(data, 0, not client)
        except frames.Violation:
            return False
        if plain is None:
            return False
        message, size, stop = plain
        if stop != len(data) or size > self._limits.max_message_bytes:
            return False
        self.messages_received += 1
        other = self.other
        if not (other._close_reason is None or other.takes_messages):  # noqa: SLF001 - the same kind
            self.way.lost += 1
        else:
            other.messages_sent += 1
            if not client or other._compression is not None:  # noqa: SLF001
                data = other._encode(message, not client)  # noqa: SLF001
            if not other._write(data):  # noqa: SLF001
                self.way.block()
        return True

    def _receive_directly(self, data: bytes) -> None:  # noqa: PLR0912 - a call would cost each
        """Pass on what can be in one turn; leave the rest for the next."""
        if self._head:
            data = self._head + data
            self._head = b""
        other, client, max_bytes = self.other, self._client, self._limits.max_message_bytes
        # From a server to a client, both without compression, a frame is the same bytes.
        same_bytes = client and other._compression is None  # noqa: SLF001 - the same kind
        self._passed = passed = []
        at, end = 0, len(data)
        all_plain = True
        try:
            for _ in _TURN:
                if self._incoming is None:
                    plain = frames.decode(data, at, not client)
                    if plain is not None:
                        message, size, stop = plain
                        if size > max_bytes:
                            raise frames.too_big(max_bytes)
                        self.messages_received += 1
                        if not (other._close_reason is None or other.takes_messages):  # noqa: SLF001
                            self.way.lost += 1
                        else:
                            other.messages_sent += 1
                            passed.append(
                                data[at:stop] if same_bytes else other._encode(message, not client)  # noqa: SLF001
                            )
                        at = stop
                        if at == end or self._halt:
                            break
                        continue
                all_plain = False
                at = self._receive_rare(data, at)
                if at == end or self._halt:
                    break
                if self._incoming is None and not self.is_direct:
                    self._halt |= TURN_OVER  # What follows goes another way.
                    break
            else:
                self._halt |= TURN_OVER
        except frames.Violation as exc:
            self._fail(exc.code, exc.reason)
        finally:
            self._pass_on()
            self._passed = None
        if not all_plain or self._halt or self._held_to_read:
            self._end_turn(data[at:])

    def _receive_rare(self, data: bytes, at: int) -> int:
        passing = self._incoming
        if self._passed is None:
            return super()._receive_rare(data, at)
        masked = not self._client
        if passing is None and at < len(data):
            control = frames.decode_control(data, at, masked)
            if control is not None:
                opcode, payload, at = control
                self._take_control(opcode, payload)
                return at
        what, value, at = frames.read(
            data,
            at,
            masked,
            passing,
            self._limits.max_message_bytes,
            self._get_inflater if self._compression is not None else None,
            frames.Passing,
        )
        if what == frames.PARTIAL:
            assert isinstance(value, frames.Passing)
            self._incoming = value
            if value.is_inflating:
                self._halt |= TURN_OVER
            if not value.is_amid_frame or value.kept_bytes >= PIECE_BYTES:
                self._pass_piece(value)
        elif what == frames.HEADER:
            self._head = data[at:]
            return len(data)
        elif what < frames.CLOSE:
            assert isinstance(value, bytes)
            self._incoming = None
            begun = isinstance(passing, frames.Passing) and passing.begun
            self._pass_end(what, value, begun=begun)
        else:
            assert isinstance(value, bytes)
            self._take_control(what, value)
        return at

    def _pass_piece(self, passing: frames.Passing) -> None:
        opcode = frames.CONTINUATION if passing.begun else passing.opcode
        self._pass_frame(frames.encode_frame(opcode, passing.take_out(), not self._client, fin=0))

    def _pass_end(self, opcode: int, payload: bytes, *, begun: bool) -> None:
        """Pass on the last piece of a message, or the whole message."""
        self.messages_received += 1
        other = self.other
        if self._compression is not None and len(payload) > INFLATED_BYTES_PER_TURN:
            self._halt |= TURN_OVER
        if not other.takes_messages:
            self.way.lost += 1
            return
        other.messages_sent += 1
        if begun:
            self._pass_frame(frames.encode_frame(frames.CONTINUATION, payload, not self._client))
        else:
            message = payload.decode() if opcode == frames.TEXT else payload
            self._pass_frame(other._encode(message, not self._client))  # noqa: SLF001

    def _pass_frame(self, frame: bytes) -> None:
        if self._passed is not None:
            self._passed.append(frame)
        else:
            self._write_to_other(frame)

    def _pass_on(self) -> None:
        """Write what was passed on so far."""
        if passed := self._passed:
            data = b"".join(passed) if len(passed) > 1 else passed[0]
            passed.clear()
            self._write_to_other(data)

    def _write_to_other(self, data: bytes) -> None:
        other = self.other
        if other.takes_messages and not other._write(data):  # noqa: SLF001 - the same kind
            self.way.block()

    def _take_control(self, opcode: int, payload: bytes) -> None:
        """Pass pings and pongs on, all but the answer to our own ping."""
        if opcode == frames.CLOSE:
            self._take_close(*frames.read_close(payload))
        elif opcode == frames.PONG and payload == self._awaited_pong:
            self._awaited_pong = None
        else:
            self._pass_frame(frames.encode_control(opcode, payload, not self._client))

    # -- Sending -----------------------------------------------------------------------------

    @property
    def takes_messages(self) -> bool:
        """True while messages may be sent to the peer: up to our close frame, or the end.

        Its own close frame does not end that (RFC 6455, section 5.5.1): it is answered when the
        other end has answered, and what the other end sends before that goes before that.
        """
        if self._close_reason is None:
            return True
        awaits_answer = self.close_received is not None and self.close_sent is None
        return awaits_answer and not (self._over or self._write_failed)

    def _check_open(self) -> None:
        if self._close_reason is None or not self.takes_messages:
            super()._check_open()

    # -- Ends, each of which the other end comes to know ------------------------------------

    def _take_close(self, code: int, reason: str) -> None:
        self._pass_on()  # It came before this, so it goes before it.
        super()._take_close(code, reason)
        self.way.source_ended()

    def _answer_close(self) -> None:
        """Leave that to the other end's peer: `pass_close` brings its answer."""

    def _fail(self, code: int, reason: str | None) -> None:
        """Fail the connection, if need be behind what the other end still has for this peer.

        The other peer answers what came before the fault. So it is told first, and this one when
        the other has answered, whose time to do so is limited; unless a fault is in the way, which
        may take any time.
        """
        self._pass_on()
        waits = self._close_reason is None and code != INTERNAL_ERROR
        if waits and self.is_direct and self.other.is_direct:
            self.failure = code
            self._verdict = code, reason
            self._stop_listening()
            self._attention = True
        else:
            super()._fail(code, reason)
        self.way.source_ended()

    def _lose(self) -> None:
        super()._lose()
        self.way.source_ended()

    def _close_now(self, code: int, reason: str) -> None:
        super()._close_now(code, reason)
        self.way.source_ended()

    def _drop_everything(self) -> None:
        super()._drop_everything()
        self.way.source_ended()

    def cut(self) -> None:
        """End our half of TCP without a close frame, as `Connection.cut` does."""
        super().cut()
        self.way.source_ended()

    def _on_hang_up(self) -> None:
        """Go on with a peer that has ended its half while it is not read from.

        The other end is to get what this peer sent before, which is still in the kernel. Nothing is
        registered then: the end would be reported again and again. Resuming registers anew.
        """
        if self._poller is not None and self._task is not None and not self._is_reset:
            assert self._sock is not None
            self._poller.unregister(self._sock)
        else:
            super()._on_hang_up()

    @property
    def _has_left(self) -> bool:
        return self._is_reset  # One that has ended its half goes on, as above.

    def close_behind_reply(self, code: int, reason: str) -> None:
        """Do nothing: which message is a reply is the upstream's secret; it is closed in time."""

    def pass_close(self, code: int, reason: str) -> bool:
        """Send the close frame that the other end's peer has sent: as a close, or as an answer.

        :param code: `ABNORMAL_CLOSURE` ends TCP without a close frame.
        :returns: true if the kernel took it. If not, somebody has to await `flush`.
        """
        if self._verdict is not None and self._close_reason is None:
            taken = self._write_close(*self._verdict)
            self._call_attention()
            return taken
        if code == ABNORMAL_CLOSURE:
            self.cut()
            if self.close_received is not None and self.close_sent is None:
                self._over = True  # The peer awaits an answer that there won't be.
                self._call_attention()
            return True
        if self.close_received is None or self.close_sent is not None:
            return self.close_nowait(code, reason or None)
        taken = self._write_close(code, reason or None)
        self._finish_closing()
        self._call_attention()
        return taken

    async def _serve_closing(self) -> None:
        # The peer's close frame is answered when the other end's peer has answered, whose time to
        # do so is limited.
        while self.close_received is not None and self.close_sent is None and not self._over:
            await self._serve_once()
            self._raise_its_own()
        await super()._serve_closing()


class ObservedRelay(ObservedConnection, Relay):
    """One end of a proxy's pair that reports its messages to an observer; no way is direct then."""
