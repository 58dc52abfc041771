"""Deal the rows of a CSV or JSON Lines file to users: user n gets row n, in any process."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from echo_trio import files

if TYPE_CHECKING:
    from loadgen.scenario.user import User

#: A million rows of 256 bytes.
MAX_BYTES: Final = 256 * 2**20
_DELIMITERS: Final = {".csv": ",", ".tsv": "\t"}
_JSON_LINES: Final = (".jsonl", ".ndjson")


class Row(Mapping[str, Any]):
    """One row: its columns are attributes (`row.name`) and keys (`row["name"]`).

    In CSV every value is a text; in JSON Lines it has the type that JSON gives it.
    """

    __slots__ = ("_columns", "_values")

    def __init__(self, columns: Mapping[str, int], values: Sequence[Any]) -> None:
        self._columns = columns
        self._values = values

    def __getitem__(self, column: str) -> Any:
        """Return the value of a column.

        :raises KeyError: if there is no such column.
        """
        return self._values[self._columns[column]]

    def __getattr__(self, column: str) -> Any:
        """Return the value of a column.

        :raises AttributeError: if there is no such column.
        """
        try:
            return self[column]
        except KeyError:
            known = ", ".join(self._columns)
            raise AttributeError(f"no column {column!r}: there are {known}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"Row({', '.join(self._columns)})"  # without values, which may be secrets


class Rows(Sequence[Row]):
    """The rows of a file, by number or by user.

    :ivar name: the name of the file, as the script has it.
    :ivar is_shared: true if users take turns, rather than having a row each.
    """

    def __init__(
        self, name: str, columns: Sequence[str], values: Sequence[Sequence[Any]], *, is_shared: bool
    ) -> None:
        self.name = name
        self.is_shared = is_shared
        self._columns = {column: place for place, column in enumerate(columns)}
        self._values = values

    def __getitem__(self, which: int | User | slice) -> Any:
        """Return a user's row, or that of a number, from 0.

        With shared rows users take turns.

        :raises IndexError: if there is no such row.
        """
        if isinstance(which, slice):
            return [Row(self._columns, values) for values in self._values[which]]
        number = which if isinstance(which, int) else which.number
        if self.is_shared and not isinstance(which, int):
            number %= len(self._values)
        if number >= len(self._values):
            raise IndexError(f"{self.name} has {len(self):,} rows, and no row {number:,}")
        return Row(self._columns, self._values[number])

    def __len__(self) -> int:
        return len(self._values)


class RowFiles:
    """The files of rows that a script reads while it is loaded.

    :ivar contents: their bytes by the names that the script has for them: known beforehand where
        the script was sent from another machine, and noted as they are read where it wasn't.
    :ivar opened: the rows of each.
    """

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self.contents: dict[str, bytes] = dict(contents)
        self.opened: list[Rows] = []


#: Of the script that is being loaded.
LOADING: Final[ContextVar[RowFiles | None]] = ContextVar("LOADING", default=None)


def rows(file: str, *, shared: bool = False) -> Rows:
    """Read a file of rows, one for each user: user n gets row n.

    The file is looked for beside the script. It is read while the script loads, and goes with the
    script to other processes and machines. A run with more users than there are rows is refused
    before any socket is opened.

    :param file: ``.csv`` or ``.tsv`` with a head line, or ``.jsonl`` with an object a line.
    :param shared: let users take turns with the rows, of which there may then be any number.
    :raises ValueError: if it is none of these, or is damaged.
    :raises OSError: if it can't be read.
    """
    loading = LOADING.get()
    content = None if loading is None else loading.contents.get(file)
    if content is None:
        script = sys._getframe(1).f_globals.get("__file__", "")  # noqa: SLF001 - beside the script
        content = files.read(Path(script).parent / file, at_most=MAX_BYTES)
    columns, values = _parse(file, content)
    if not values:
        raise ValueError(f"{file} has no rows")
    made = Rows(file, columns, values, is_shared=shared)
    if loading is not None:
        loading.contents[file] = content
        loading.opened.append(made)
    return made


def _parse(file: str, content: bytes) -> tuple[list[str], list[list[Any]]]:
    suffix = Path(file).suffix.lower()
    if suffix in _JSON_LINES:
        return _parse_json_lines(file, content)
    if suffix not in _DELIMITERS:
        known = ", ".join([*_DELIMITERS, *_JSON_LINES])
        raise ValueError(f"{file}: rows are read from {known}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ValueError(f"{file} is not UTF-8: {exc.reason} at byte {exc.start}") from None
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_DELIMITERS[suffix], strict=True)
    try:
        columns = next(lines, [])
        values: list[list[Any]] = []
        for line in lines:
            if line and len(line) != len(columns):
                where = f"{file} line {lines.line_num}"
                raise ValueError(f"{where} has {len(line)} values for {len(columns)} columns")
            if line:
                values.append(line)
    except csv.Error as exc:
        raise ValueError(f"{file} line {lines.line_num}: {exc}") from None
    _check_columns(file, columns)
    return columns, values


def _parse_json_lines(file: str, content: bytes) -> tuple[list[str], list[list[Any]]]:
    decoder = msgspec.json.Decoder(dict[str, Any])
    columns: list[str] = []
    values: list[list[Any]] = []
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
            raise ValueError(f"{file} line {number} is no JSON object: {exc}") from None
        columns = columns or list(row)
        if set(row) != set(columns):
            raise ValueError(f"{file} line {number} has other names than the first")
        values.append([row[column] for column in columns])
    _check_columns(file, columns)
    return columns, values


def _check_columns(file: str, columns: Sequence[str]) -> None:
    if len(set(columns)) != len(columns):
        raise ValueError(f"{file} has a column twice")
