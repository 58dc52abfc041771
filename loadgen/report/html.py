"""Write the report as one HTML file that needs nothing else: the page's template, filled in."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from loadgen.report.model import Report

#: Built by `npm run build` from react-client/.
TEMPLATE_PATH: Final = Path(__file__).parent / "page" / "report.html"
_PLACE: Final = b'<script type="application/json" id="loadgen-report">null</script>'
#: Characters that could end a script element, or a line of JavaScript, as JSON may write them.
_ESCAPES: Final = {
    char.encode(): f"\\u{ord(char):04x}".encode() for char in ("<", ">", "&", "\u2028", "\u2029")
}


def find_problem(template: Path = TEMPLATE_PATH) -> str | None:
    """Say what would keep the page from being made, and what to do; None if nothing would."""
    try:
        places = template.read_bytes().count(_PLACE)
    except FileNotFoundError:
        return "the HTML report's page is not built: run `make page` (it needs Node)"
    except OSError as exc:
        return f"can't read the HTML report's page, {template}: {exc.strerror}"
    if places != 1:
        return f"the HTML report's page, {template}, has {places} places for a report, not one"
    return None


def render(report: Report, template: Path = TEMPLATE_PATH) -> bytes:
    """Fill the report into the page."""
    data = msgspec.json.encode(report)
    for char, escape in _ESCAPES.items():
        data = data.replace(char, escape)
    return template.read_bytes().replace(_PLACE, _PLACE.replace(b"null", data))
