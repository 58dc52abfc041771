"""Build the documentation site: scripts/site.py FOLDER; `make docs` builds it into site/.

The pages of docs/ are taken as they stand, and read by Sphinx with MyST. Others are made of files
elsewhere (examples, the changelog, what is in a folder that a page links to) and of docstrings.
Anything that Sphinx warns of, a link that leads nowhere for example, ends the build. `llms.txt`
lists all pages with a line on each (llmstxt.org), and `llms-full.txt` has all of them in one text.
"""

from __future__ import annotations

import gc
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

from scenario_reference import INTERNAL
from sphinx.cmd.build import build_main

ROOT: Final = Path(__file__).parents[1]
#: The sections of the site, and their pages in order. Others of a folder come behind these.
SECTIONS: Final = {
    "Tutorials": ["tutorial/first-run", "tutorial/load-your-own-server"],
    "How to": [
        "how-to/which-tool", "how-to/test-a-client", "how-to/faults-in-front",
        "how-to/load-your-server", "how-to/ci", "how-to/compare-runs", "how-to/history",
        "how-to/from-other-tools", "how-to/use-as-a-library", "how-to/page", "how-to/operate",
        "how-to/deploy", "deploy/index", "how-to/scale-out", "how-to/cluster",
        "how-to/troubleshooting",
    ],
    "Examples": ["examples/index", "examples/test-a-client/index"],
    "Reference": [
        "reference/server", "reference/behaviours", "reference/console", "reference/metrics",
        "reference/loadgen", "reference/report", "reference/thresholds", "reference/hints",
        "reference/scenario", "reference/run-metrics", "reference/collection",
        "reference/other-systems",
        "api/echo_trio", "api/plugin", "api/loadgen", "api/loadgen.scenario",
    ],
    "Explanation": [
        "explanation/verdict", "explanation/accounting", "explanation/coordinated-omission",
        "explanation/cross-check", "explanation/security", "explanation/robustness",
        "explanation/bug-reports", "explanation/layout", "decisions/index",
    ],
    "Figures": ["benchmarks", "project/benchmarks", "scale", "conformance", "clients"],
    "Project": [
        "map", "project/changelog", "project/contributing", "project/security", "project/conduct",
    ],
}  # fmt: skip
#: The section of a page that is not named above, by its folder.
FOLDER_SECTIONS: Final = {
    "tutorial": "Tutorials", "how-to": "How to", "examples": "Examples", "reference": "Reference",
    "explanation": "Explanation", "": "Figures",
}  # fmt: skip
#: Pages that stand elsewhere, by where they are in the site.
MOVED: Final = {
    "project/changelog.md": "CHANGELOG.md",
    "project/contributing.md": "CONTRIBUTING.md",
    "project/security.md": "SECURITY.md",
    "project/conduct.md": "CODE_OF_CONDUCT.md",
    "project/benchmarks.md": "benchmarks/README.md",
    "examples/index.md": "examples/README.md",
    "examples/test-a-client/index.md": "examples/test-a-client/README.md",
    "index.md": "README.md",
    "map.md": "docs/README.md",
}
#: Folders that pages link to, by the page that shows what is in them.
FOLDERS: Final = {"deploy/index.md": "docs/deploy", "decisions/index.md": "docs/decisions"}
#: Folders of which the pages show all files.
SHOWN: Final = {"deploy/index.md", "examples/index.md", "examples/test-a-client/index.md"}
PACKAGES: Final = {
    "echo_trio": "Serve from a program or a test",
    "loadgen": "Run a load from a program",
    "loadgen.scenario": "Write users as Python functions",
}
PLUGIN: Final = """# The pytest plugin

```{eval-rst}
.. autofunction:: echo_trio.testing.plugin.ws_server

.. autoclass:: echo_trio.RunningServer
   :members:
   :no-index:

.. autoclass:: echo_trio.SeenConnection
   :members:
   :no-index:
```
"""
LANGUAGES: Final = {
    ".py": "python", ".yaml": "yaml", ".yml": "yaml", ".conf": "nginx", ".cfg": "text",
    ".service": "ini", ".cjs": "javascript", ".ini": "ini",
}  # fmt: skip
#: `[text](path#anchor)`; the text may be a picture.
_LINK: Final = re.compile(r"(\[((?:[^\[\]]|!?\[[^\]]*\]\([^)]*\))*)\])\(([^)\s:#]+)(#[^)\s]*)?\)")
_TITLE: Final = re.compile(r"^# (.+)$", re.MULTILINE)


def build(site: Path) -> int:
    """Build the site into a folder; return the exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "source")
        shutil.copytree(ROOT / "docs", source)
        (source / "README.md").unlink()
        pages = {path.relative_to(source).as_posix(): _read(path) for path in source.rglob("*.md")}
        pages |= dict(_make_pages(_sort_pages(pages)))
        for place, text in pages.items():
            path = source / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_lead_links(place, text, source, pages), encoding="utf-8")
        shutil.rmtree(site, ignore_errors=True)
        # Documents stay until the end: to look for garbage among them takes a third of the time.
        gc.set_threshold(100_000, 50, 100)
        # -W: a warning is an error; all of them are shown.
        options = ["-q", "-W", "--keep-going", "-d", f"{scratch}/doctrees"]
        if code := build_main([*options, str(source), str(site)]):
            return code
    _write_lists(site, pages)
    return 0


def _sort_pages(written: Iterable[str]) -> dict[str, list[str]]:
    """Return the pages of each section, with those that it does not name at its end."""
    named = {"index", *(page for pages in SECTIONS.values() for page in pages)}
    sections = {section: [*pages] for section, pages in SECTIONS.items()}
    for place in sorted(written):
        page = place.removesuffix(".md")
        folder = place.rpartition("/")[0]
        if page not in named and folder in FOLDER_SECTIONS:
            sections[FOLDER_SECTIONS[folder]].append(page)
    return sections


def _make_pages(sections: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Yield the pages that are made: where each is, and its Markdown."""
    for place, path in MOVED.items():
        text = _read(ROOT / path)
        yield (
            place,
            text
            + (_show_files((ROOT / path).parent) if place in SHOWN else "")
            + (_make_contents(sections) if place == "index.md" else ""),
        )
    yield "deploy/index.md", "# Files for deployment\n" + _show_files(ROOT / "docs/deploy")
    decisions = [path.stem for path in sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))]
    listed = "\n".join(decisions)
    yield "decisions/index.md", f"# Decisions\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n"
    for package, what in PACKAGES.items():
        names = "\n".join(_document(package, name) for name in _exported(package))
        yield f"api/{package}.md", f"# {package}\n\n{what}.\n\n```{{eval-rst}}\n{names}\n```\n"
    yield "api/plugin.md", PLUGIN


def _document(package: str, name: str) -> str:
    """Write the directive that documents a name by its docstring."""
    value = getattr(import_module(package), name)
    if not isinstance(value, type):
        return f".. autofunction:: {package}.{name}\n"
    if issubclass(value, Exception):
        return f".. autoexception:: {package}.{name}\n   :exclude-members: __init__, __new__\n"
    if package != "loadgen.scenario":
        hidden, more = {"__new__"}, "   :undoc-members:\n"
    else:  # Scripts are given these objects, and make none; fields are told in the docstring.
        hidden, more = {"__init__", "__new__", *INTERNAL}, ""
    options = f"   :members:\n   :exclude-members: {', '.join(sorted(hidden))}\n{more}"
    return f".. autoclass:: {package}.{name}\n{options}"


def _make_contents(sections: dict[str, list[str]]) -> str:
    return "".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {section}\n\n" + "\n".join(pages) + "\n```\n"
        for section, pages in sections.items()
    )


def _lead_links(place: str, text: str, source: Path, pages: dict[str, str]) -> str:
    """Lead each link to where the page or file that it names is in the site.

    A link whose text is the name of a file gets the page's title instead. Files that are no pages
    are copied into the site.
    """
    elsewhere = {path: page for page, path in {**MOVED, **FOLDERS}.items()}
    folder = Path(MOVED[place]).parent if place in MOVED else Path("docs", place).parent

    def lead(link: re.Match[str]) -> str:
        target = os.path.normpath(folder / link[3])
        found = elsewhere.get(target) or elsewhere.get(f"{target}/README.md")
        if found is None and not target.startswith("docs/") and (ROOT / target).is_file():
            (source / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / target, source / target)
            found = target
        found = found or target.removeprefix("docs/")
        title = _TITLE.search(pages.get(found, ""))
        shown = title[1] if title and link[2].strip("./").endswith((".md", link[3])) else link[2]
        return f"[{shown}]({os.path.relpath(found, Path(place).parent)}{link[4] or ''})"

    return _outside_code(text, lambda part: _LINK.sub(lead, part))


def _show_files(folder: Path) -> str:
    shown = []
    for path in sorted(folder.iterdir()):
        language = LANGUAGES.get(path.suffix, "docker" if path.name == "Containerfile" else "")
        if language:
            shown.append(f"\n## {path.name}\n\n````{language}\n{_read(path).rstrip()}\n````\n")
    return "".join(shown)


def _exported(package: str) -> list[str]:
    """Return the public names of a package, in the order in which it lists them."""
    text = _read(ROOT / package.replace(".", "/") / "__init__.py")
    names = re.search(r"__all__ = \[(.*?)\]", text, re.DOTALL)
    assert names is not None, package
    return re.findall(r'"(\w+)"', names[1])


def _outside_code(markdown: str, change: Callable[[str], str]) -> str:
    """Change a text, but not what is fenced as code."""
    parts = re.split(r"(^(`{3,}).*?^\2$)", markdown, flags=re.MULTILINE | re.DOTALL)
    # Each piece of code is followed by its fence, which the pattern has as a group.
    return "".join(
        change(part) if at % 3 == 0 else part for at, part in enumerate(parts) if at % 3 != 2
    )


def _write_lists(site: Path, pages: dict[str, str]) -> None:
    """Write `llms.txt` and `llms-full.txt`."""
    listed = ["# echo-trio", "", f"> {_first_sentence(_read(ROOT / 'README.md'))}"]
    whole = []
    for section, names in _sort_pages(pages).items():
        listed += ["", f"## {section}", ""]
        for name in names:
            text = pages[f"{name}.md"]
            title = _TITLE.search(text)
            assert title is not None, name
            listed.append(f"- [{title[1]}]({name}.html): {_first_sentence(text)}")
            whole.append(f"<!-- {name}.html -->\n\n{text.strip()}\n")
    (site / "llms.txt").write_text("\n".join(listed) + "\n", encoding="utf-8")
    (site / "llms-full.txt").write_text("\n\n".join(whole), encoding="utf-8")


def _first_sentence(markdown: str) -> str:
    """Return the first sentence of the first paragraph that is one."""
    for block in markdown.split("\n\n"):
        text = " ".join(re.sub(r"^#+ .*$", "", block, flags=re.MULTILINE).split())
        text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
        if text and not text.startswith(("|", "```", "<", "-")) and not block.startswith("    "):
            return re.split(r"(?<=[.:])\s", text)[0]
    return ""


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1]).absolute()))
