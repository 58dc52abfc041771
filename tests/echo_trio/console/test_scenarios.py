"""List the scenarios of a folder that can be run from the console."""

from __future__ import annotations

from pathlib import Path

from echo_trio.console.scenarios import MOST_LISTED, find_scenarios


def test_python_files_are_listed_in_order_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b.py", "a.py", "c.txt", ".d.py", "_e.py", "py", "Z.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "link.py").symlink_to("a.py")
    assert find_scenarios(str(tmp_path)) == ["Z.py", "a.py", "b.py"]


def test_of_too_many_the_first_are_listed(tmp_path: Path) -> None:
    for number in range(MOST_LISTED + 1):
        (tmp_path / f"s{number:04}.py").write_text("")
    assert find_scenarios(str(tmp_path)) == [f"s{number:04}.py" for number in range(200)]


def test_without_a_folder_there_are_none(tmp_path: Path) -> None:
    assert find_scenarios(None) == find_scenarios(str(tmp_path / "gone")) == []
