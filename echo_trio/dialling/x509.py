"""Read from a certificate what people look at: whose it is, who signed it, how long it is valid.

Pure: DER (X.690) as far as RFC 5280 needs it. Python's `ssl` decodes only certificates that it has
verified, and the ones that can't be verified are those that people ask about.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import msgspec

_SEQUENCE: Final = 0x30
_SET: Final = 0x31
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18
_VERSION: Final = 0xA0
_EXTENSIONS: Final = 0xA3
_OCTETS: Final = 0x04
#: How the strings of names are encoded, by tag.
_ENCODINGS: Final = {
    0x0C: "utf-8",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}
#: RFC 4514, section 3, and what certificates have beside it.
_ATTRIBUTES: Final = {
    "2.5.4.3": "CN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
}
_ALT_NAMES: Final = "2.5.29.17"
#: Tags of a GeneralName (RFC 5280, section 4.2.1.6).
_EMAIL, _DNS, _URI, _IP = 0x81, 0x82, 0x86, 0x87
#: A certificate of a large service has some hundred names; more than these are not shown.
MAX_NAMES: Final = 256


class Certificate(msgspec.Struct, frozen=True):
    """The facts of one certificate.

    :ivar subject: like ``C=DE, O=Example, CN=chat.example``.
    :ivar not_before: the first moment of its validity, as ISO 8601 in UTC.
    :ivar not_after: the last one.
    :ivar names: those it is for (subjectAltName): hosts, addresses, URIs, at most `MAX_NAMES`.
    """

    subject: str
    issuer: str
    not_before: str
    not_after: str
    names: list[str]


def read_certificate(der: bytes) -> Certificate:
    """Read a certificate.

    :raises ValueError: if it is malformed.
    """
    try:
        return _read(der)
    except (IndexError, UnicodeDecodeError, OverflowError) as exc:
        raise ValueError(f"this is no certificate: {exc}") from None


def _read(der: bytes) -> Certificate:
    certificate = _only(der, _SEQUENCE)
    fields = list(_elements(_only(certificate, _SEQUENCE)))
    if fields[0][0] == _VERSION:
        del fields[0]
    # serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo, and the rest
    (_, issuer), (_, validity), (_, subject) = fields[2:5]
    not_before, not_after = (_read_time(tag, value) for tag, value in _elements(validity))
    names: list[str] = []
    for tag, value in fields[6:]:
        if tag == _EXTENSIONS:
            names = _read_names(_only(value, _SEQUENCE))
    return Certificate(_show_name(subject), _show_name(issuer), not_before, not_after, names)


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the tag and the content of each element in a row."""
    at = 0
    while at < len(data):
        tag, size = data[at], data[at + 1]
        at += 2
        if size >= 0x80:
            width = size & 0x7F
            if not 1 <= width <= 4:
                raise ValueError("a length of DER is malformed")
            size = int.from_bytes(data[at : at + width])
            at += width
        if at + size > len(data):
            raise ValueError("an element of DER is cut off")
        yield tag, data[at : at + size]
        at += size


def _only(data: bytes, wanted: int) -> bytes:
    tag, content = next(_elements(data), (-1, b""))
    if tag != wanted:
        raise ValueError("an element of DER is not of the kind that belongs there")
    return content


def _show_name(name: bytes) -> str:
    """Show a Name: its attributes in the order of the certificate."""
    shown = []
    for tag, attributes in _elements(name):
        if tag != _SET:
            raise ValueError("a name is malformed")
        for _, attribute in _elements(attributes):
            (_, oid), (kind, value) = _elements(attribute)
            text = value.decode(_ENCODINGS[kind]) if kind in _ENCODINGS else f"#{value.hex()}"
            key = _show_oid(oid)
            shown.append(f"{_ATTRIBUTES.get(key, key)}={text}")
    return ", ".join(shown)


def _show_oid(content: bytes) -> str:
    numbers, number = [], 0
    for byte in content:
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, [first, numbers[0] - 40 * first, *numbers[1:]]))


def _read_time(tag: int, content: bytes) -> str:
    text = content.decode("ascii")
    if tag == _UTC_TIME:  # RFC 5280, section 4.1.2.5.1: 50 to 99 are of the last century
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("a time is malformed")
    moment = datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    return moment.isoformat().replace("+00:00", "Z")


def _read_names(extensions: bytes) -> list[str]:
    for _, extension in _elements(extensions):
        (_, oid), *others = _elements(extension)
        if _show_oid(oid) != _ALT_NAMES:
            continue
        for tag, value in others:
            if tag == _OCTETS:
                names = (_show_alternative(*each) for each in _elements(_only(value, _SEQUENCE)))
                return [name for name in names if name is not None][:MAX_NAMES]
    return []


def _show_alternative(tag: int, content: bytes) -> str | None:
    if tag in (_EMAIL, _DNS, _URI):
        return content.decode("ascii")
    if tag == _IP and len(content) in (4, 16):
        return str(ipaddress.ip_address(content))
    return None
