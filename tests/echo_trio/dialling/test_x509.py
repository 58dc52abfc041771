"""Certificates that others have made, and what only looks like one."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from echo_trio.dialling.x509 import MAX_NAMES, _show_name, read_certificate

KEY = ec.generate_private_key(ec.SECP256R1())


def make(names: list[x509.GeneralName], *, since: int = 1999, year: int = 2030) -> bytes:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Müller & 世界"),
            x509.NameAttribute(NameOID.COMMON_NAME, "chat.example"),
            x509.NameAttribute(x509.ObjectIdentifier("1.2.3.4.5"), "own"),
        ]
    )
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(KEY.public_key())
        .serial_number(2**100)
        .not_valid_before(datetime(since, 1, 2, 3, 4, 5, tzinfo=UTC))
        .not_valid_after(datetime(year, 6, 7, 8, 9, 10, tzinfo=UTC))
    )
    if names:
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)


def test_the_facts_of_a_certificate():
    names = [
        x509.DNSName("*.example"),
        x509.IPAddress(ipaddress.ip_address("10.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
        x509.UniformResourceIdentifier("spiffe://a/b"),
        x509.RFC822Name("a@b.example"),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
    ]
    read = read_certificate(make(names, year=2055))
    assert read.subject == "C=DE, O=Müller & 世界, CN=chat.example, 1.2.3.4.5=own"
    assert read.issuer == "CN=an authority"
    assert (read.not_before, read.not_after) == ("1999-01-02T03:04:05Z", "2055-06-07T08:09:10Z")
    assert read.names == ["*.example", "10.0.0.1", "::1", "spiffe://a/b", "a@b.example"]
    assert read_certificate(make([])).names == []
    many = make([x509.DNSName(f"{number}.example") for number in range(MAX_NAMES + 1)])
    assert len(read_certificate(many).names) == MAX_NAMES


@pytest.mark.parametrize(("since", "until"), [(1950, 1999), (2000, 2049), (2049, 2050)])
def test_a_year_of_two_digits_is_one_from_1950_to_2049(since: int, until: int) -> None:
    read = read_certificate(make([], since=since, year=until))
    assert (read.not_before, read.not_after) == (
        f"{since}-01-02T03:04:05Z",
        f"{until}-06-07T08:09:10Z",
    )


CERTIFICATE = make([x509.DNSName("a.example")])


@given(
    st.one_of(
        st.binary(max_size=64),
        st.integers(0, len(CERTIFICATE) - 1).map(lambda at: CERTIFICATE[:at]),
        st.tuples(st.integers(0, len(CERTIFICATE) - 1), st.integers(0, 255)).map(
            lambda change: (
                CERTIFICATE[: change[0]] + bytes([change[1]]) + CERTIFICATE[change[0] + 1 :]
            )
        ),
    )
)
def test_anything_else_is_a_value_error_or_read(data):
    try:
        read_certificate(data)
    except ValueError:
        return
    assert data.startswith(b"\x30")


@pytest.mark.parametrize("at", [0, 1, 10, len(CERTIFICATE) // 2, len(CERTIFICATE) - 1])
def test_a_certificate_that_is_cut_off_is_a_value_error(at):
    with pytest.raises(ValueError, match=r"."):
        read_certificate(CERTIFICATE[:at])


@pytest.mark.parametrize(
    "data", [b"", b"\x30", b"\x30\x00", b"\x30\x02\x30\x00", b"\x30\x02\x31\x00"]
)
def test_a_certificate_with_nothing_in_it_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_certificate(data)


def element(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    size = len(content)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2)
    return bytes([tag]) + length + content


def name_of(oid: bytes, tag: int, value: bytes) -> bytes:
    """A name with one attribute."""
    return element(0x31, element(0x30, element(0x06, oid), element(tag, value)))


@pytest.mark.parametrize(
    ("oid", "shown"),
    [
        (b"\x55\x04\x03", "CN"), (b"\x55\x04\x05", "serialNumber"), (b"\x55\x04\x06", "C"),
        (b"\x55\x04\x07", "L"), (b"\x55\x04\x08", "ST"), (b"\x55\x04\x09", "STREET"),
        (b"\x55\x04\x0a", "O"), (b"\x55\x04\x0b", "OU"),
        (b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01", "UID"),
        (b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19", "DC"),
        (b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01", "emailAddress"),
        (b"\x27\x00", "0.39.0"), (b"\x28\x7f", "1.0.127"), (b"\x50\x81\x00", "2.0.128"),
        (b"\x88\x37\x81\x80\x00", "2.999.16384"),
    ],
)  # fmt: skip
def test_an_attribute_is_shown_by_its_name_or_its_number(oid: bytes, shown: str) -> None:
    assert _show_name(name_of(oid, 0x0C, b"x")) == f"{shown}=x"


@pytest.mark.parametrize(
    ("tag", "value", "shown"),
    [
        (0x0C, "é".encode(), "é"), (0x13, b"e", "e"), (0x14, b"\xe9", "é"), (0x16, b"e", "e"),
        (0x1C, "é世".encode("utf-32-be"), "é世"), (0x1E, "é世".encode("utf-16-be"), "é世"),
        (0x03, b"\x00\xff", "#00ff"), (0x0C, b"x" * 300, "x" * 300),
    ],
)  # fmt: skip
def test_a_value_is_shown_as_its_encoding_has_it(tag: int, value: bytes, shown: str) -> None:
    names = name_of(b"\x55\x04\x03", tag, value) + name_of(b"\x55\x04\x06", 0x13, b"DE")
    assert _show_name(names) == f"CN={shown}, C=DE"
