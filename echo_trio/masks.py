"""Mask secrets in reports: reports are shared, and a token is as good as its owner.

By name: the value of a header, or of a setting in a URL, whose name says that it is a secret is
shown as `***`. A name too many hides a harmless value; a name too few shows a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

MASK: Final = "***"
#: Authorization, Cookie, X-Api-Key, ?access_token= … in any case, anywhere in a name.
_SECRET: Final = re.compile(
    r"auth|cookie|credential|jwt|key|passwd|password|secret|session|\bsid\b|\bsig\b|signature|token",
    re.IGNORECASE,
)
_SETTING: Final = re.compile(r"(?<=[?&#])([^=&#]*)=([^&#]+)")
_USER: Final = re.compile(r"(?<=://)[^/?#@]*@")
#: In a line: settings end where a word does. A user name whose password contains an @ or a / makes
#: no valid URL, but is masked all the same.
_SETTING_IN_LINE: Final = re.compile(r"(?<=[?&#])([^=&#\s]*)=([^&#\s'\"]+)")
_USER_IN_LINE: Final = re.compile(r"(?<=://)(?:[^/?#\s]*@|[^/?#@\s:\[]*:(?![0-9]*[/?#])[^?#\s]*@)")


def is_secret(name: str) -> bool:
    """Tell whether the value under this name is a secret."""
    return _SECRET.search(name) is not None


def mask_headers(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Mask the values of secret headers."""
    return tuple((name, MASK if is_secret(name) else value) for name, value in headers)


def mask_subprotocols(subprotocols: Iterable[str]) -> tuple[str, ...]:
    """Mask secret subprotocols: a browser has no other place in its handshake for a token."""
    return tuple(MASK if is_secret(name) else name for name in subprotocols)


def mask_url(url: str) -> str:
    """Mask the values of secret settings in a URL's query, and its user."""
    return _SETTING.sub(_mask_setting, _USER.sub(f"{MASK}@", url, count=1))


def mask_line(line: str) -> str:
    """Mask secrets in every URL that a line contains, well-formed or not."""
    return _SETTING_IN_LINE.sub(_mask_setting, _USER_IN_LINE.sub(f"{MASK}@", line))


def _mask_setting(setting: re.Match[str]) -> str:
    return f"{setting[1]}={MASK}" if is_secret(unquote(setting[1])) else setting[0]
