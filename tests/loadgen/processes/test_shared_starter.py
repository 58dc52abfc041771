"""Several threads start shards by one fork server, which ends with the last of them."""

import errno
import os
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
import trio

from loadgen.processes import shared_starter
from loadgen.processes.shared_starter import SharedStarter

MODULE = """
import errno, os
def fork(): raise OSError(errno.EAGAIN, "none is left")
os.fork = fork
def main(descriptors): pass
"""


def test_a_shard_that_can_not_be_started_leaves_no_fork_server(tmp_path, monkeypatch):
    (tmp_path / "full.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    shared = SharedStarter("full")
    with pytest.raises(OSError, match=os.strerror(errno.EAGAIN)), shared.start("1"):
        pass
    assert shared._starter._server is None


@pytest.fixture
def shared(monkeypatch):
    """A starter that notes what it was asked for, and when its server was ended."""
    noted = []

    async def start(starter, title):
        await trio.lowlevel.checkpoint()
        if title == "none":
            raise OSError(errno.EAGAIN, "none is left")
        noted.append(title)
        return f"process {title}", f"socket {title}"

    monkeypatch.setattr(shared_starter, "start_shard", start)
    made = SharedStarter("loadgen.processes.shard")
    made._starter = SimpleNamespace(end=lambda: noted.append("end"))
    made.noted = noted
    return made


def test_the_fork_server_ends_with_the_last_shard_and_whatever_comes_later_starts_anew(shared):
    with ExitStack() as first, ExitStack() as second:
        assert first.enter_context(shared.start("1")) == ("process 1", "socket 1")
        second.enter_context(shared.start("2"))
        with pytest.raises(OSError, match="none is left"), shared.start("none"):
            pass
        first.close()
        assert shared.noted == ["1", "2"]
        second.close()
        assert shared.noted == ["1", "2", "end"]
    with pytest.raises(ZeroDivisionError), shared.start("3"):
        _ = 1 // 0
    assert shared.noted == ["1", "2", "end", "3", "end"]
