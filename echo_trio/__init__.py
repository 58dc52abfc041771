"""Serve WebSockets: an echo server that tests clients and shows what it does.

For programs and tests there are `Settings`, `serving` and `serving_in_thread`. Each is imported
when it is first asked for: importing this package alone costs nothing, which pytest does at every
start where it is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from echo_trio.settings import Settings
    from echo_trio.testing.running_server import RunningServer
    from echo_trio.testing.seen import SeenConnection
    from echo_trio.testing.serving import serving, serving_in_thread

__all__ = ["RunningServer", "SeenConnection", "Settings", "serving", "serving_in_thread"]


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "Settings":
        from echo_trio import settings as home  # noqa: PLC0415
    elif name == "RunningServer":
        from echo_trio.testing import running_server as home  # type: ignore[no-redef]  # noqa: PLC0415
    elif name == "SeenConnection":
        from echo_trio.testing import seen as home  # type: ignore[no-redef]  # noqa: PLC0415
    else:
        from echo_trio.testing import serving as home  # type: ignore[no-redef]  # noqa: PLC0415
    value: object = getattr(home, name)
    globals()[name] = value
    return value
