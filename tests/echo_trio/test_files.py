import os
import stat
import subprocess
import sys

import pytest

from echo_trio import files
from echo_trio.files import Draft, WrongKind


@pytest.fixture(params=["without a name", "with one beside"])
def drafting(request, monkeypatch):
    """Both ways to make a draft: not every file system has files without a name."""
    if request.param == "with one beside":
        monkeypatch.setattr(files, "_DESCRIPTORS", "/nowhere")


# -- Reading --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "says"),
    [
        pytest.param("/dev/zero", "it is a device, not a file; name a file", id="device"),
        pytest.param("pipe", "it is a pipe, not a file; write what comes from it", id="pipe"),
        pytest.param(".", "it is a directory, not a file; name a file in it", id="directory"),
        pytest.param("dangling", "it is a link to nothing; name a file", id="dangling"),
        pytest.param("to-device", "it is a device", id="a-link-to-a-device"),
        pytest.param("sparse", "it is larger than 1 MiB", id="sparse"),
        pytest.param("missing", "No such file or directory", id="missing"),
        pytest.param("x/y\0z", "NUL", id="nul"),
        pytest.param("round", "Too many levels of symbolic links", id="a-circle"),
        pytest.param("n" * 300, "File name too long", id="a-long-name"),
    ],
)
def test_what_is_no_file_of_the_right_size_is_refused_at_once(tmp_path, monkeypatch, path, says):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    (tmp_path / "dangling").symlink_to("nothing")
    (tmp_path / "to-device").symlink_to("/dev/zero")
    (tmp_path / "round").symlink_to("round")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(3 * 2**30)
    with pytest.raises(OSError) as caught:  # noqa: PT011
        files.read(path, at_most=2**20)
    assert says in caught.value.strerror


def test_a_file_is_read_up_to_its_bound_through_links_too(tmp_path):
    (tmp_path / "x").write_bytes(b"abcd")
    (tmp_path / "link").symlink_to("x")
    assert files.read(tmp_path / "link", at_most=4) == b"abcd"
    with pytest.raises(WrongKind, match="larger than 3 bytes"):
        files.read(tmp_path / "x", at_most=3)


def test_a_file_of_the_kernels_which_has_no_size_is_read_and_bounded_as_well():
    assert files.read("/proc/self/status", at_most=2**20)
    with pytest.raises(WrongKind, match="larger"):
        files.read("/proc/self/status", at_most=10)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param(b"\xef\xbb\xbfa\r\nb", ["a", "b"], id="a-mark-and-windows-line-ends"),
        pytest.param("a\rb\u2028c\x0cd".encode(), ["a", "b\u2028c\x0cd"], id="other-line-ends"),
        pytest.param(b"", [""], id="empty"),
    ],
)
def test_a_text_is_read_as_any_editor_saves_it(tmp_path, content, text):
    (tmp_path / "x").write_bytes(content)
    assert files.split_lines(files.read_text(tmp_path / "x", at_most=100)) == text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param("a".encode("utf-16"), "it is UTF-16 text; save it as UTF-8", id="utf-16"),
        pytest.param("a".encode("utf-32"), "it is UTF-32 text", id="utf-32"),
        pytest.param(b"a\nb\xe9", "line 2 has a byte, 0xe9, that is not UTF-8", id="latin-1"),
        pytest.param(
            b"\xef\xbb\xbfa\nb\xe9\nc", "line 2 has a byte, 0xe9, that is not", id="behind-a-mark"
        ),
    ],
)
def test_what_is_no_utf_8_is_said_to_be_none(tmp_path, content, says):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(WrongKind, match=says):
        files.read_text(tmp_path / "x", at_most=100)


def test_a_name_is_found_in_a_locale_without_utf_8(tmp_path):
    (tmp_path / "é").write_bytes(b"found")
    code = "import sys; from echo_trio import files; print(files.read(sys.argv[1], at_most=9))"
    environment = os.environ | {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "é")], env=environment,
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout == "b'found'\n"


# -- Writing --------------------------------------------------------------------------------


@pytest.mark.usefixtures("drafting")
def test_a_file_is_there_all_at_once_and_keeps_its_permissions(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    path.chmod(0o640)
    draft = Draft(path)
    draft.file.write(b"new")
    assert path.read_text() == "old"
    draft.publish()
    draft.close()
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


@pytest.mark.usefixtures("drafting")
def test_a_draft_has_the_permissions_that_were_asked_for_whatever_it_replaces(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    path.chmod(0o644)
    draft = Draft(path, mode=0o600)
    draft.publish()
    draft.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_taken_in_parts_is_written_whole(monkeypatch):
    taken = []

    def write(descriptor, content):
        part = bytes(content[:3])
        taken.append((descriptor, part))
        return len(part)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "write", write)
        files.write_all(7, b"abcdefg")
    assert taken == [(7, b"abc"), (7, b"def"), (7, b"g")]


@pytest.mark.usefixtures("drafting")
def test_a_draft_that_is_not_published_leaves_nothing(tmp_path):
    (tmp_path / "x").write_text("old")
    for name in ("x", "y"):
        draft = Draft(tmp_path / name)
        draft.file.write(b"new")
        draft.close()
    files.check_writable(tmp_path / "z")
    assert [each.name for each in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_text() == "old"


@pytest.mark.usefixtures("drafting")
def test_a_draft_that_may_replace_nothing_takes_a_name_that_is_free_and_no_other(tmp_path):
    path = tmp_path / "x"
    for taken in (False, True):
        draft = Draft(path)
        draft.file.write(b"taken" if taken else b"first")
        if taken:
            with pytest.raises(FileExistsError):
                draft.publish(overwrite=False)
        else:
            draft.publish(overwrite=False)
        draft.close()
    assert path.read_text() == "first"
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


@pytest.mark.usefixtures("drafting")
def test_a_link_stays_one_and_what_it_points_to_is_replaced(tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "x").write_text("old")
    (tmp_path / "link").symlink_to("to/x")
    (tmp_path / "other name").hardlink_to(tmp_path / "to" / "x")
    files.write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "to" / "x").read_text() == "new"
    # What stood there is never written to: under another name it is as it was.
    assert (tmp_path / "other name").read_text() == "old"


@pytest.mark.parametrize("name", ["pipe", "/dev/null", "dangling", "", "missing/x", "n" * 256])
@pytest.mark.usefixtures("drafting")
def test_what_is_no_place_for_a_file_is_refused_and_left_as_it_is(tmp_path, name):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nothing")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OSError):  # noqa: PT011
        files.write_whole(tmp_path / name, b"x")
    assert sorted(tmp_path.iterdir()) == before
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)  # noqa: PTH116


@pytest.mark.usefixtures("drafting")
def test_a_name_as_long_as_names_may_be_can_be_written_and_replaced(tmp_path):
    for content in (b"one", b"two"):
        files.write_whole(tmp_path / ("n" * 255), content)
    assert (tmp_path / ("n" * 255)).read_bytes() == b"two"


def test_the_name_beside_a_file_is_utf_8_however_long_that_of_the_file_is(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_DESCRIPTORS", "/nowhere")
    draft = Draft(tmp_path / ("n" + "é" * 120))
    (beside,) = os.listdir(os.fsencode(tmp_path))  # noqa: PTH208 - as bytes
    draft.close()
    assert beside.decode().startswith(".né")


#: Has a fork of itself write in a folder of its own, and ends it at one of the calls by which
#: files come to be and go, as a kill in between does: at the first, at the second, until none does.
KILLED = """
import os, signal, sys
from echo_trio import files
folder, way, name = sys.argv[1:]
def dying(call):
    def run(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return run
for step in range(100):
    where = os.path.join(folder, str(step))
    os.mkdir(where)
    with open(os.path.join(where, "there"), "w") as old:
        old.write("old")
    if not (pid := os.fork()):
        left = step
        if way == "beside":
            files._DESCRIPTORS = "/nowhere"
        for call in ("open", "write", "link", "replace", "unlink", "fsync", "fchmod", "close"):
            setattr(os, call, dying(getattr(os, call)))
        files.write_whole(os.path.join(where, name), b"new" * 1000)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print(code, flush=True)
    if code != -signal.SIGKILL:
        break
"""


@pytest.mark.parametrize("name", ["there", "new"])
@pytest.mark.parametrize("way", ["nameless", "beside"])
def test_a_kill_at_any_step_leaves_a_file_as_it_was_or_whole(tmp_path, way, name):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), way, name],
                          capture_output=True, text=True, check=False)  # fmt: skip
    *killed, last = map(int, done.stdout.split())
    assert (done.returncode, last) == (0, 0), done.stderr
    assert set(killed) == {-9}
    assert len(killed) >= 4
    for step in range(len(killed) + 1):
        folder = tmp_path / str(step)
        path = folder / name
        old = b"old" if name == "there" else None
        left = path.read_bytes() if path.exists() else None
        assert left in {old, b"new" * 1000}
        for other in folder.iterdir():
            # Without files that have no name, one may be left; it says whose it is.
            assert (
                other.name == "there"
                or other.name == name
                or (other.name.startswith(f".{name}.") and other.name.endswith(".new"))
            )
            if way == "nameless" and other.name not in {"there", "new"}:
                assert other.read_bytes() == b"new" * 1000
    assert path.read_bytes() == b"new" * 1000
