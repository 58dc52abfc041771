"""Several threads start shards by one fork server, which ends with the last of them."""

import errno
import os

import pytest

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
