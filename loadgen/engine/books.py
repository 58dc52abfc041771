"""Hold what all sessions of a run write into: the columns of the ledger and the latencies."""

from __future__ import annotations

from dataclasses import dataclass, field

from loadgen.results.latency import Histogram, Recorder
from loadgen.results.ledger import Ledger


@dataclass(slots=True)
class Books:
    """The ledger and the recorders that all sessions of a run write into; times in microseconds.

    :ivar connect: TCP and WebSocket handshake of each socket that opened, without its wait for the
        limiter.
    :ivar intended: from when a message was due to its reply.
    :ivar service: from when a message was handed to the socket to its reply.
    :ivar scheduling_lag: from when a message was due to when it was handed to the socket.
    """

    ledger: Ledger
    connect: Recorder = field(default_factory=Recorder)
    intended: Recorder = field(default_factory=Recorder)
    service: Recorder = field(default_factory=Recorder)
    scheduling_lag: Recorder = field(default_factory=Recorder)

    def end_second(self) -> Histogram:
        """End a second in each recorder; return the intended latency of that second."""
        for recorder in (self.connect, self.service, self.scheduling_lag):
            recorder.end_second()
        return self.intended.end_second()

    def sort_in(self) -> None:
        """Let the histograms agree with the ledger, in the middle of a second."""
        for recorder in (self.connect, self.intended, self.service, self.scheduling_lag):
            recorder.sort_in()
