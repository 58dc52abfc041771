"""Write the newest results of `payloads.py` into their part of `docs/benchmarks.md`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import payload_catalogue as catalogue
from quantities import shown_bytes
from report import BLANK, absences, peer_versions, provenance, replaced, table
from server_catalogue import CONTESTANTS
from server_catalogue import OURS as ECHO_TRIO

BEGIN, END = "<!-- payloads: begin (generated) -->", "<!-- payloads: end -->"
#: Ours by those of `websockets` on asyncio: the CPU of a byte.
WEBSOCKETS = "websockets-asyncio"
MOST_BY_WEBSOCKETS = 0.7

LARGE_TOLD = """\
### 64 KiB and 1 MiB

CPU per byte of message (in brackets: ours ÷ it); the number behind the comma is that of sockets,
with one message in flight on each."""
SERVERS_TOLD = f"""\
### Servers with compression

{shown_bytes(catalogue.JSON_BYTES)} of JSON, 64 documents in turn on each of \
{catalogue.JSON_SOCKETS:,} sockets; CPU per message. What each end sent for a message is what the
kernel has counted on the driver's sockets, headers of frames included. The driver offers what
browsers do, and never refers to earlier messages; servers compress as they do by default. Ours
never refers to earlier messages: that takes more bytes, and no memory between two messages."""
GENERATORS_TOLD = f"""\
### Generators with compression

About {shown_bytes(catalogue.JSON_BYTES)} of JSON in a closed loop on \
{catalogue.JSON_SOCKETS:,} sockets, every reply checked; CPU per message. The messages of a socket
differ in their number alone, and the target, which has counted the payloads, lets clients refer to
earlier ones: ours does not."""

Row = Mapping[str, object]


def rows_of(document: Mapping, figure: str, **identity: object) -> dict[str, Row]:
    """The medians of one figure by peer."""
    wanted = {"figure": figure, **identity}
    return {
        row["peer"]: row
        for row in document["medians"]
        if all(row.get(key) == value for key, value in wanted.items())
    }


def shown(row: Row | None, key: str, form: str) -> str:
    return BLANK if row is None or key not in row else form.format(row[key])


def beside(ours: Row | None, theirs: Row | None, key: str) -> str:
    """Ours divided by a peer's."""
    return f"{ours[key] / theirs[key]:.2f}" if ours and theirs and key in theirs else BLANK


def large_table(document: Mapping) -> str:
    columns = [
        (sockets, size, kind)
        for sockets, size in catalogue.LARGE_CELLS
        for kind in ("text", "binary")
    ]
    found = [
        rows_of(document, catalogue.LARGE, sockets=sockets, size_bytes=size, kind=kind)
        for sockets, size, kind in columns
    ]
    head = [
        "server",
        *(f"{shown_bytes(size)} {kind}, {sockets}" for sockets, size, kind in columns),
    ]
    lines = []
    for each in CONTESTANTS:
        if not any(each.name in rows for rows in found):
            continue
        cells = [
            shown(rows.get(each.name), "cpu_ns_per_byte", "{:.2f} ns/B")
            + f" ({beside(rows.get(ECHO_TRIO), rows.get(each.name), 'cpu_ns_per_byte')})"
            for rows in found
        ]
        lines.append([each.title, *cells])
    return table(head, lines)


def compressed_table(
    document: Mapping, figure: str, ours: str, titles: Mapping[str, str], memory: bool
) -> str:
    plain, compressed = (
        rows_of(document, figure, load=load) for load in (catalogue.PLAIN, catalogue.COMPRESSED)
    )
    head = ["", "plain", "compressed", "ours ÷ it", "sent by the client", "by the server"]
    head += ["KB a connection, compressed"] if memory else []
    lines = []
    for name, title in titles.items():
        row = compressed.get(name)
        if name not in plain and row is None:
            continue
        to, back = "in", "out"
        if figure == catalogue.GENERATORS:
            to, back = back, to
        line = [
            title,
            shown(plain.get(name), "cpu_us_per_message", "{:.1f} µs"),
            shown(row, "cpu_us_per_message", "{:.1f} µs"),
            beside(compressed.get(ours), row, "cpu_us_per_message"),
            shown(row, f"wire_bytes_{to}_per_message", "{:,.0f} B"),
            shown(row, f"wire_bytes_{back}_per_message", "{:,.0f} B"),
        ]
        lines.append(line + ([shown(row, "used_kb_per_connection", "{:.1f}")] if memory else []))
    return table(head, lines)


def ratios(document: Mapping) -> dict[str, float]:
    """CPU of a byte, ours by that of `websockets`, by size and kind."""
    found = {}
    for sockets, size in catalogue.LARGE_CELLS:
        for kind in ("text", "binary"):
            rows = rows_of(document, catalogue.LARGE, sockets=sockets, size_bytes=size, kind=kind)
            if ECHO_TRIO in rows and WEBSOCKETS in rows:
                key = "cpu_ns_per_byte"
                found[f"{shown_bytes(size)} {kind}"] = rows[ECHO_TRIO][key] / rows[WEBSOCKETS][key]
    return found


def verdicts(document: Mapping) -> str:
    return "\n".join(
        f"- {what}, CPU of a byte ÷ that of websockets on asyncio: **{ratio:.2f}** "
        f"(at most {MOST_BY_WEBSOCKETS:g}{'' if ratio <= MOST_BY_WEBSOCKETS else ': missed'})."
        for what, ratio in ratios(document).items()
    )


def section(document: Mapping) -> str:
    """The part of the page that is made of the results."""
    parts = [BEGIN, provenance([document]), peer_versions([document])]
    servers = {each.name: each.title for each in CONTESTANTS}
    clients = {each.name: each.title for each in catalogue.CLIENTS}
    made: Sequence[tuple[str, str, Callable[[], str]]] = (
        (catalogue.LARGE, LARGE_TOLD, lambda: f"{large_table(document)}\n\n{verdicts(document)}"),
        (
            catalogue.SERVERS,
            SERVERS_TOLD,
            lambda: compressed_table(document, catalogue.SERVERS, ECHO_TRIO, servers, True),
        ),
        (
            catalogue.GENERATORS,
            GENERATORS_TOLD,
            lambda: compressed_table(
                document, catalogue.GENERATORS, catalogue.LOADGEN, clients, False
            ),
        ),
    )
    for part, told, make in made:
        if rows_of(document, part):
            parts += [told, make()]
    absent = absences([document])
    return "\n\n".join([*parts, absent, END])


def write(document: Mapping, page_path: Path) -> None:
    page_path.parent.mkdir(parents=True, exist_ok=True)
    page = page_path.read_text() if page_path.exists() else "# Benchmarks\n"
    page_path.write_text(replaced(page, section(document), BEGIN, END))
    for what, ratio in ratios(document).items():
        print(f"{'reached' if ratio <= MOST_BY_WEBSOCKETS else 'missed':<8} {ratio:5.2f}  {what}")
    print(f"written: {page_path}")
