"""Write what the table of settings says into the reference and the page's form.

There is one table: the fields of the settings classes, from which flags, variables and TOML keys
are made. Of the reference's tables this writes the columns of facts (kind, range, default,
variable) and leaves the meaning as it stands; the page's form gets its help, kinds and defaults.

    python scripts/settings_reference.py            writes them
    python scripts/settings_reference.py --check    exits with 1 if one is not what the code says
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from cyclopts import Argument

from echo_trio import cli, flags, setting_sources
from loadgen.cli import json_settings, load

ROOT: Final = Path(__file__).parents[1]
FORM: Final = ROOT / "react-client/src/features/load/settings.json"
#: The page of a program, and the prefix of its variables, if it reads some.
PAGES: Final = {
    ROOT / "docs/reference/server.md": cli.ENVIRONMENT_PREFIX,
    ROOT / "docs/reference/loadgen.md": None,
}
_ROW: Final = re.compile(r"\| (`--[^|]*`) \|(?:.*\|)? (.*) \|")
_HEAD: Final = re.compile(r"\| flag \|.*\| meaning \|")
_NAME: Final = re.compile(r"`(--[a-z-]+)`")


@dataclass(frozen=True)
class Setting:
    """A row of the table.

    :ivar kind: the kind of its value, as help has it.
    :ivar default: as a user would write it; empty if there is none.
    :ivar bounds: the smallest and the largest number allowed; ``None`` if not bounded.
    :ivar choices: the texts allowed; empty if it is free.
    """

    names: tuple[str, ...]
    kind: str
    default: str
    help: str
    bounds: tuple[float, float] | None
    choices: tuple[str, ...]
    is_repeatable: bool
    is_secret: bool

    @classmethod
    def of(cls, argument: Argument) -> Setting:
        """Read a setting of the parser."""
        parameter = argument.parameter
        kind = "switch" if argument.hint is bool else str(parameter.metavar or "")
        choices = get_args(argument.hint) if "Literal" in str(get_origin(argument.hint)) else ()
        within = [each for each in _validators(argument) if isinstance(each, flags.Within)]
        return cls(
            names=tuple(argument.names),
            kind=kind,
            default=_show_default(argument),
            help=" ".join((parameter.help or "").split()),
            bounds=(within[0].low, within[0].high) if within else None,
            choices=choices,
            is_repeatable=setting_sources.is_repeatable(argument),
            is_secret=flags.MASKED in _metadata(argument),
        )

    @property
    def shown_kind(self) -> str:
        """The kind with its range and marks, for the reference."""
        kind = " · ".join(f"`{each}`" for each in self.choices) or f"{self.kind}"
        facts = [kind.replace("|", "\\|")]
        if self.bounds is not None:
            low, high = self.bounds
            if high < _UNBOUNDED:
                facts[0] += f" ({low:g} to {high:,.0f})"
            elif low:
                facts[0] += f" (at least {low:g})"
        facts += ["repeatable"] * self.is_repeatable + ["secret"] * self.is_secret
        return ", ".join(facts)


#: A count may be this large only for the sake of arithmetic.
_UNBOUNDED: Final = 10**12


def _validators(argument: Argument) -> tuple[Any, ...]:
    given = argument.parameter.validator
    return given if isinstance(given, tuple) else (given,)


def _metadata(argument: Argument) -> tuple[Any, ...]:
    return getattr(argument.field_info.annotation, "__metadata__", ())


def _show_default(argument: Argument) -> str:
    show, value = argument.parameter.show_default, argument.field_info.default
    if argument.hint is bool:
        return "on" if value else "off"
    if value is inspect.Parameter.empty:
        return ""
    if callable(show):
        return str(show(value) or "")
    return "" if value in (None, ()) else str(value)


def read_table(arguments: Mapping[str, Argument]) -> dict[str, Setting]:
    """Return all settings, by each of their names."""
    settings = [Setting.of(each) for each in arguments.values()]
    return {name: setting for setting in settings for name in setting.names}


def fill_page(page: str, table: Mapping[str, Setting], prefix: str | None) -> str:
    """Write the facts into the tables of a page of the reference.

    :raises LookupError: if a setting has no row there, or more than one.
    """
    columns = ["flag", "kind", "default", *(["variable"] if prefix else []), "meaning"]
    named: list[str] = []
    lines, is_inside = [], False
    for line in page.splitlines():
        if _HEAD.fullmatch(line):
            is_inside, shown = True, f"| {' | '.join(columns)} |"
        elif is_inside and line.startswith("| ---"):
            shown = f"| {' | '.join(['---'] * len(columns))} |"
        elif is_inside and (row := _ROW.fullmatch(line)):
            names = _NAME.findall(row[1])
            named += names
            cells = [row[1], *_show_facts([table[name] for name in names], names, prefix), row[2]]
            shown = f"| {' | '.join(cells)} |"
        else:
            is_inside, shown = is_inside and line.startswith("|"), line
        lines.append(shown)
    for setting in table.values():
        # COUNT and URL have no flag.
        is_flag = setting.names[0].islower()
        if is_flag and sum(name in named for name in setting.names) != 1:
            raise LookupError(f"{setting.names[0]} has no row, or more than one")
    return "\n".join(lines) + "\n"


def _show_facts(settings: list[Setting], names: list[str], prefix: str | None) -> Iterator[str]:
    kinds = list(dict.fromkeys(setting.shown_kind for setting in settings))
    yield ", ".join(kinds)
    defaults = [_quote(setting.default) or "–" for setting in settings]
    yield ", ".join(defaults if any(each != "–" for each in defaults) else defaults[:1])
    if prefix:
        variables = (prefix + name.removeprefix("--").replace("-", "_").upper() for name in names)
        yield " ".join(f"`{variable}`" for variable in variables)


def _quote(default: str) -> str:
    """Write a default as code where Markdown would read more into it."""
    return f"`{default}`" if "{" in default else default


def make_form() -> str:
    """Make the JSON of the settings that the page's form may ask for."""
    described = load.app.assemble_argument_collection(parse_docstring=True)
    settings = {each.name.removeprefix("--").lower(): Setting.of(each) for each in described}
    told = {
        name.replace("-", "_"): {
            "kind": settings[name].kind,
            "default": settings[name].default,
            "help": settings[name].help,
        }
        for name in json_settings.settings()
        if name not in json_settings.LOCAL_ONLY
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the pages and the form's table, or compare them."""
    made = {FORM: make_form()}
    tables = (
        read_table(setting_sources.make_table(cli.app) | setting_sources.make_table(cli.app.meta)),
        read_table(setting_sources.make_table(load.app)),
    )
    for (page, prefix), table in zip(PAGES.items(), tables, strict=True):
        try:
            made[page] = fill_page(page.read_text(), table, prefix)
        except (KeyError, LookupError) as exc:
            print(f"{page.name}: {exc}")
            return 1
    stale = [page for page, text in made.items() if not page.exists() or page.read_text() != text]
    if "--check" not in sys.argv:
        for page in stale:
            page.write_text(made[page])
        return 0
    for page in stale:
        print(f"{page.name} is not what the settings say: python scripts/settings_reference.py")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
