"""A file is locked while somebody has it open, and by several only if all of them share it."""

import pytest

from loadgen.journal.locks import AVAILABLE, lock


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("second", [False, True])
def test_a_lock_lasts_until_its_file_is_closed(tmp_path, first, second):
    assert AVAILABLE
    path = tmp_path / "x"
    path.write_text("")
    with path.open("rb") as one, path.open("rb") as other:
        lock(one, shared=first)
        if first and second:
            lock(other, shared=second)
        else:
            with pytest.raises(BlockingIOError):
                lock(other, shared=second)
        one.close()
        lock(other)
