"""Read files of rows, and deal the rows to users."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from loadgen.scenario.rows import LOADING, RowFiles, Rows, rows


def read(name: str, content: bytes, **options: Any) -> Rows:
    token = LOADING.set(RowFiles({name: content}))
    try:
        return rows(name, **options)
    finally:
        LOADING.reset(token)


def user(number: int) -> Any:
    return SimpleNamespace(number=number)


def test_user_n_gets_row_n_and_there_is_one_row_for_each() -> None:
    people = read("people.csv", b"\xef\xbb\xbfname,age\nAda,36\n\nBob,41\n")
    assert [people[user(n)].name for n in (0, 1)] == ["Ada", "Bob"]
    assert people[user(1)]["age"] == people[1].age == "41"
    assert [dict(row) for row in people[:1]] == [{"name": "Ada", "age": "36"}]
    assert (len(people), len(people[0])) == (2, 2)
    with pytest.raises(IndexError, match="has 2 rows, and no row 2"):
        people[user(2)]
    with pytest.raises(AttributeError, match="no column 'nam': there are name, age"):
        _ = people[0].nam
    assert "Ada" not in repr(people[0])


def test_users_take_turns_with_shared_rows_and_numbers_do_not() -> None:
    people = read("p.tsv", b"name\nAda\nBob\n", shared=True)
    assert [people[user(n)].name for n in range(5)] == ["Ada", "Bob", "Ada", "Bob", "Ada"]
    with pytest.raises(IndexError):
        people[2]


def test_json_lines_keep_their_types_and_any_order_of_names() -> None:
    made = read("x.jsonl", b'{"a": 1, "b": null}\n\n{"b": [2], "a": "x"}\n')
    assert [dict(row) for row in made] == [{"a": 1, "b": None}, {"a": "x", "b": [2]}]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("x.csv", b"a,b\n1\n", "x.csv line 2 has 1 values for 2 columns"),
        ("x.csv", b"a,b\n1,2\n1,2,3\n", "x.csv line 3 has 3 values for 2 columns"),
        ("x.csv", b"a,a\n1,2\n", "has a column twice"),
        ("x.csv", b"a\n", "has no rows"),
        ("x.csv", b"", "has no rows"),
        ("x.csv", b'a\n"1', "x.csv line 2: "),
        ("x.csv", b"a\n\xff\n", "is not UTF-8: invalid start byte at byte 2"),
        ("x.txt", b"a\n1\n", "rows are read from .csv, .tsv, .jsonl, .ndjson"),
        ("x.ndjson", b'{"a": 1}\n{"b": 1}\n', "line 2 has other names than the first"),
        ("x.ndjson", b'{"a": 1}\n[1]\n', "line 2 is no JSON object"),
    ],
)
def test_a_damaged_file_is_told_with_its_line(name: str, content: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read(name, content)


def test_a_file_is_found_beside_the_script_and_goes_with_it_as_it_was_read(
    tmp_path: Path,
) -> None:
    (tmp_path / "x.csv").write_bytes(b"a\n1\n")
    script: dict[str, Any] = {"__file__": str(tmp_path / "talk.py"), "rows": rows}
    loading = RowFiles({})
    token = LOADING.set(loading)
    exec("first = rows('x.csv')", script)
    (tmp_path / "x.csv").write_bytes(b"a\n2\n")
    exec("again = rows('x.csv', shared=True)", script)
    LOADING.reset(token)
    exec("last = rows('x.csv')", script)  # nothing is loading now
    assert loading.contents == {"x.csv": b"a\n1\n"}
    assert loading.opened == [script["first"], script["again"]]
    assert [script[name][0].a for name in ("first", "again", "last")] == ["1", "1", "2"]


def test_what_a_script_has_read_goes_with_it() -> None:
    loading = RowFiles({"x.csv": b"a\n1\n"})
    token = LOADING.set(loading)
    made = rows("x.csv", shared=True)
    LOADING.reset(token)
    assert loading.opened == [made]
    assert loading.contents == {"x.csv": b"a\n1\n"}
    assert (made.name, made.is_shared) == ("x.csv", True)
