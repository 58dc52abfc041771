"""Write the reference of the scenario API from its docstrings.

Between the marks in docs/reference/scenario.md:

    python scripts/scenario_reference.py            writes it
    python scripts/scenario_reference.py --check    exits with 1 if it is not what the code says
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import loadgen.scenario

PAGE = Path(__file__).parents[1] / "docs/reference/scenario.md"
BEGIN, END = "<!-- api: made by scripts/scenario_reference.py -->", "<!-- end of api -->"
_FIELD = re.compile(r":(param|ivar|returns|raises)\s*([^:]*):\s*")


def describe() -> str:
    """Describe everything that `loadgen.scenario` exports.

    :raises SystemExit: if a name of `INTERNAL` is no longer there: what it is called now would be
        described.
    """
    exported = [getattr(loadgen.scenario, name) for name in loadgen.scenario.__all__]
    if gone := INTERNAL.difference(*(vars(one) for one in exported if inspect.isclass(one))):
        raise SystemExit(f"INTERNAL has {', '.join(gone)}, and no class does")
    parts = []
    for name in [*_FIRST, *sorted(set(loadgen.scenario.__all__) - set(_FIRST))]:
        thing = getattr(loadgen.scenario, name)
        if inspect.isclass(thing):
            parts += [f"### {name}", *_describe(thing)]
            for method, member in _members(thing):
                parts += [f"#### {name}.{method}", *_describe(member, name)]
        else:
            parts += [f"### {name}", *_describe(thing)]
    return "\n\n".join(parts)


#: What a reader wants first.
_FIRST = ("scenario", "User", "Socket", "check", "rows")
#: What a script has no use for, though it has no underscore: for those who run it.
INTERNAL = {
    "aclose", "arrive", "arrive_with_stream", "await_arrival", "check_open", "end",
    "lose_all", "look_at_kept", "serve", "take", "wait_for_end_or_change",
}  # fmt: skip


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    for name, member in vars(kind).items():
        is_public = not name.startswith("_") and name not in INTERNAL
        is_described = isinstance(member, property) or inspect.isfunction(member)
        if is_public and is_described and inspect.getdoc(member):
            yield name, member


def _describe(thing: Any, owner: str = "") -> Iterator[str]:
    if inspect.isfunction(thing):
        signature = str(inspect.signature(thing)).replace("(self, ", "(").replace("(self)", "()")
        keyword = "async " if inspect.iscoroutinefunction(thing) else ""
        yield f"```python\n{keyword}{thing.__name__}{_tidy(signature)}\n```"
    text = inspect.getdoc(thing) or ""
    body, _, fields = text.partition("\n:")
    yield _mark_up(body.strip())
    if fields:
        yield "\n".join(_list_fields(f":{fields}"))


def _tidy(signature: str) -> str:
    """Write a signature as the source has it: without modules, and quotes around types."""
    signature = re.sub(r"(?:loadgen\.scenario\.\w+|collections\.abc|typing)\.", "", signature)
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", signature)


def _mark_up(text: str) -> str:
    text = "\n".join(line for line in text.splitlines() if not line.startswith((">>>", "...")))
    return re.sub(r"``(.+?)``", r"`\1`", " ".join(text.split()))


def _list_fields(text: str) -> Iterator[str]:
    pieces = _FIELD.split(text)[1:]
    for kind, name, meaning in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True):
        shown = {"param": f"`{name}`", "ivar": f"`{name}`", "returns": "returns"}.get(
            kind, f"raises `{name}`"
        )
        yield f"- {shown}: {_mark_up(meaning)}"


def main() -> int:
    """Write the page, or compare it."""
    before, rest = PAGE.read_text().split(BEGIN)
    _, after = rest.split(END)
    page = f"{before}{BEGIN}\n\n{describe()}\n\n{END}{after}"
    if "--check" in sys.argv:
        if page != PAGE.read_text():
            print(f"{PAGE.name} is not what the code says: python scripts/scenario_reference.py")
            return 1
        return 0
    PAGE.write_text(page)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
