"""Heads of HTTP for property tests: arbitrary bytes, and good heads that took damage."""

from __future__ import annotations

from hypothesis import strategies as st


@st.composite
def damaged(draw, lines: list[bytes]) -> bytes:
    """A good head after some bytes and lines were changed, lost, doubled or swapped."""
    lines = list(lines)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        change = draw(st.sampled_from(["drop", "double", "swap", "insert", "overwrite"]))
        if change == "drop" and len(lines) > 1:
            del lines[at]
        elif change == "double":
            lines.append(lines[at])
        elif change == "swap":
            lines[0], lines[at] = lines[at], lines[0]
        else:
            position = draw(st.integers(0, len(lines[at])))
            some = draw(st.binary(max_size=3))
            rest = position + (len(some) if change == "overwrite" else 0)
            lines[at] = lines[at][:position] + some + lines[at][rest:]
    return b"\r\n".join(lines)


heads = st.binary() | st.text().map(str.encode)
