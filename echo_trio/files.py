"""Read and write the files that users name: of the right kind, with a bound, whole or not at all.

Reading takes plain files only, up to a size that the caller gives. A device, a pipe or a sparse
file of terabytes would otherwise be read until the memory or the user's patience is used up.

Writing never touches the old file before all of the new content is on the disk: a `Draft` has no
name, or one of its own, until `publish` gives it the final one in a single step. A program that is
killed in between leaves the old file as it was.

Failures are an `OSError` whose `strerror` is one line for the user; the caller adds which setting
named the file.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, Final

_CHUNK_BYTES: Final = 2**20

#: The name of each other kind of file, and what its user can do.
_KINDS: Final[tuple[tuple[Callable[[int], bool], str, str], ...]] = (
    (stat.S_ISDIR, "it is a directory, not a file", "name a file in it"),
    (stat.S_ISFIFO, "it is a pipe, not a file", "write what comes from it into a file first"),
    (stat.S_ISSOCK, "it is a socket, not a file", "name a file"),
    (stat.S_ISCHR, "it is a device, not a file", "name a file"),
    (stat.S_ISBLK, "it is a device, not a file", "name a file"),
)
#: This process's open files, by number.
_DESCRIPTORS: Final = "/proc/self/fd"
_NO_LINKS: Final = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS}
_LINE_END: Final = re.compile("\r\n|\n|\r")
_FOREIGN_TEXT: Final = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


def flags(*names: str) -> int:
    """Combine these flags of `os.open`, as far as this system has them."""
    combined = 0
    for name in names:
        combined |= getattr(os, name, 0)
    return combined


#: For every file: bytes as they are (Windows), and not for child processes.
_OPEN: Final = flags("O_CLOEXEC", "O_NOINHERIT", "O_BINARY")


class WrongKind(OSError):
    """The path is not a plain file, or its file is too large; `strerror` says what to do."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EINVAL, why)


# -- Reading --------------------------------------------------------------------------------


def open_plain(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a plain file for reading, or a link to one; never wait.

    :raises OSError: if there is none, or it is something else: `WrongKind`.
    """
    name = _encode_path(path)
    # Checked before it is opened: opening alone rewinds a tape, arms a watchdog, and makes the
    # writer of a pipe believe that it is read. And again afterwards, as it may have been replaced.
    _check_plain(_stat(name).st_mode)
    never_wait = flags("O_NONBLOCK", "O_NOCTTY")
    file = os.fdopen(os.open(name, os.O_RDONLY | _OPEN | never_wait), "rb")
    try:
        _check_plain(os.fstat(file.fileno()).st_mode)
    except OSError:
        file.close()
        raise
    return file


def read(path: str | os.PathLike[str], *, at_most: int) -> bytes:
    """Return the content of a plain file.

    :param at_most: the largest size in bytes; a larger file is refused.
    :raises OSError: if it can't be read, is no plain file, or is larger.
    """
    with open_plain(path) as file:
        content = bytearray()
        if os.fstat(file.fileno()).st_size <= at_most:
            # Not all at once: files of /proc have no size, and others grow meanwhile.
            while chunk := file.read(min(_CHUNK_BYTES, at_most + 1 - len(content))):
                content += chunk
            if len(content) <= at_most:
                return bytes(content)
    raise WrongKind(f"it is larger than {_show_size(at_most)}, the most that is read of one")


def read_text(path: str | os.PathLike[str], *, at_most: int) -> str:
    """Return the text of a plain file in UTF-8, without a byte order mark.

    :param at_most: the largest size in bytes; a larger file is refused.
    :raises OSError: as `read` does, and if the content is not UTF-8.
    """
    content = read(path, at_most=at_most)
    for mark, encoding in _FOREIGN_TEXT.items():
        if content.startswith(mark):
            raise WrongKind(f"it is {encoding} text; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        # Its places are those behind a byte order mark.
        line = exc.object.count(b"\n", 0, exc.start) + 1
        byte = exc.object[exc.start]
        raise WrongKind(f"line {line} has a byte, 0x{byte:02x}, that is not UTF-8") from None


def split_lines(text: str) -> list[str]:
    """Split a text where Unix, Windows and old Macs end a line, and nowhere else.

    `str.splitlines` also splits at form feeds and U+2028, which may stand within one header.
    """
    return _LINE_END.split(text)


# -- Writing --------------------------------------------------------------------------------


class Draft:
    """A file that is being written and is to appear at a path all at once, or never.

    Where the system has files without a name (Linux's `O_TMPFILE`), it is one until it is
    published, so that a process that is killed leaves nothing behind. Elsewhere it has a name of
    its own beside the path.

    :param path: where it will appear. A link is followed: the file it points to is replaced, and
        the link stays.
    :param mode: its permissions, less the process's umask; by default those of the file that it
        replaces, or else those of any new file.
    :ivar file: the file to write to; unbuffered, so written bytes are the kernel's and survive a
        crash of this process.
    :raises OSError: if nothing can be written there.
    """

    def __init__(self, path: str | os.PathLike[str], *, mode: int | None = None) -> None:
        if os.path.islink(name := _encode_path(path)):
            _stat(name)
        self._path = os.path.realpath(name)
        self._folder, self._name = os.path.split(self._path)
        self._beside: bytes | None = None
        self._replaced_mode: int | None = None
        with suppress(FileNotFoundError):
            status = os.stat(self._path)
            _check_plain(status.st_mode)
            self._replaced_mode = stat.S_IMODE(status.st_mode) if mode is None else None
            # It could be replaced all the same, as the permission to do so is its folder's; but a
            # file was not made read-only for that.
            if not os.access(self._path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if hasattr(os, "pathconf") and len(self._name) > os.pathconf(self._folder, "PC_NAME_MAX"):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        descriptor = self._create(0o666 if mode is None else mode)
        try:
            if self._replaced_mode is not None and hasattr(os, "fchmod"):
                os.fchmod(descriptor, self._replaced_mode)
        except OSError:
            os.close(descriptor)
            raise
        # Appending, for the sake of a journal: whatever holds the descriptor, nothing is written
        # over.
        self.file: BinaryIO = os.fdopen(descriptor, "ab", buffering=0)

    def publish(self, *, overwrite: bool = True) -> None:
        """Give the file its final name, in one step; may be called once.

        On Windows the file is closed for this and opened again, since an open one can't be renamed
        there; in between another process might open it.

        :param overwrite: replace a file that has that name.
        :raises FileExistsError: if one has that name, and is not to be replaced.
        """
        if self._beside is None and self._link(self._path):
            return
        if sys.platform == "win32":
            self._rename_closed(overwrite=overwrite)
        elif not overwrite:
            if self._beside is None or not self._link(self._path, source=self._beside):
                raise FileExistsError(errno.EEXIST, "there is a file of that name")
            self._forget_beside()
        else:
            while self._beside is None:
                beside = self._make_name()
                if self._link(beside):
                    self._beside = beside
            os.replace(self._beside, self._path)
            self._beside = None

    def _rename_closed(self, *, overwrite: bool) -> None:
        """Do as `publish` on Windows, where an open file can't be renamed."""
        assert self._beside is not None
        self.file.close()
        # There `rename` never replaces a file.
        (os.replace if overwrite else os.rename)(self._beside, self._path)
        self._beside = None
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | _OPEN)
        self.file = os.fdopen(descriptor, "ab", buffering=0)

    def close(self) -> None:
        """Close the file; unless it was published, delete it."""
        self.file.close()
        self._forget_beside()

    def _forget_beside(self) -> None:
        if self._beside is not None:
            with suppress(OSError):
                os.unlink(self._beside)
            self._beside = None

    def _create(self, mode: int) -> int:
        appending = os.O_WRONLY | os.O_APPEND | _OPEN
        if hasattr(os, "O_TMPFILE") and os.path.isdir(_DESCRIPTORS):
            try:
                return os.open(self._folder, appending | os.O_TMPFILE, mode)
            except OSError as exc:
                # Not supported by this file system, such as NFS and some overlays.
                if exc.errno not in {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL}:
                    raise
        while True:
            beside = self._make_name()
            with suppress(FileExistsError):
                descriptor = os.open(beside, appending | os.O_CREAT | os.O_EXCL, mode)
                self._beside = beside
                return descriptor

    def _make_name(self) -> bytes:
        # Whole names are at most 255 bytes long, and this one may have been.
        # Cut between two characters: Windows and macOS take no name that isn't UTF-8.
        name = self._name[:200].decode("utf-8", "ignore").encode()
        own = b"." + name + b"." + os.urandom(4).hex().encode() + b".new"
        return os.path.join(self._folder, own)

    def _link(self, path: bytes, source: bytes | None = None) -> bool:
        """Give the file a name that no file has; false if one has it."""
        try:
            if source is not None:
                _link_or_reserve(source, path)
                return True
            # With a folder's descriptor given, Python has the system follow the link in /proc.
            folder = os.open(_DESCRIPTORS, os.O_RDONLY | _OPEN | flags("O_DIRECTORY"))
            try:
                os.link(b"%d" % self.file.fileno(), path, src_dir_fd=folder)
            finally:
                os.close(folder)
        except FileExistsError:
            return False
        return True


def _link_or_reserve(source: bytes, path: bytes) -> None:
    """Give a file a second name, which no file has.

    :raises FileExistsError: if one has it.
    """
    try:
        os.link(source, path, follow_symlinks=False)
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        # Some file systems give a file one name only: take the other one first, then rename.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, 0o600))
        os.replace(source, path)


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file completely or not at all: until all is written, the old content stays.

    :raises OSError: if it can't be written; then the old file is unchanged.
    """
    draft = Draft(path)
    try:
        write_all(draft.file.fileno(), content)
        # Renamed before its content is on the disk, a file can be empty after a loss of power,
        # and the one before it is gone (Pillai et al., OSDI 2014).
        os.fsync(draft.file.fileno())
        draft.publish()
    finally:
        draft.close()


def write_all(descriptor: int, content: bytes | memoryview) -> None:
    """Write everything to a blocking descriptor, in as many calls as necessary.

    :raises OSError: if it takes no more.
    """
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check that `write_whole` could write there; change nothing.

    :raises OSError: if it could not.
    """
    Draft(path).close()


def is_same(one: str | os.PathLike[str], other: str | os.PathLike[str]) -> bool:
    """Tell whether both paths name the same file, also if it doesn't exist."""
    return os.path.realpath(_encode_path(one)) == os.path.realpath(_encode_path(other))


# -- Both -----------------------------------------------------------------------------------


def _encode_path(path: str | os.PathLike[str]) -> bytes:
    name = os.fspath(path)
    if "\0" in name:
        raise WrongKind("the name of a file can't have a NUL in it")
    try:
        return os.fsencode(name)
    except UnicodeEncodeError:
        # A locale without UTF-8. What was typed was UTF-8 nevertheless, as are names on the disk.
        return name.encode("utf-8", "surrogateescape")


def _stat(name: bytes) -> os.stat_result:
    try:
        return os.stat(name)
    except FileNotFoundError:
        if os.path.islink(name):
            raise WrongKind("it is a link to nothing; name a file") from None
        raise


def _check_plain(mode: int) -> None:
    for is_kind, what, instead in _KINDS:
        if is_kind(mode):
            raise WrongKind(f"{what}; {instead}")


def _show_size(size_bytes: int) -> str:
    for unit, length in (("MiB", 2**20), ("KiB", 2**10)):
        if size_bytes >= length and size_bytes % length == 0:
            return f"{size_bytes // length} {unit}"
    return f"{size_bytes} bytes"
