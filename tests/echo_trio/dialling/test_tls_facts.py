"""The facts of a TLS connection are those of its socket, of whichever Python."""

from __future__ import annotations

import ssl
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

from echo_trio.dialling.tls_facts import MAX_CHAIN, facts_of
from echo_trio.dialling.x509 import read_certificate

AUTHORITY = trustme.CA()
DERS = [
    ssl.PEM_cert_to_DER_cert(pem.bytes().decode())
    for pem in (*AUTHORITY.issue_cert("chat.example").cert_chain_pems, AUTHORITY.cert_pem)
]


def sock_of(chain: list[bytes], how: str, **more: Any) -> Any:
    """A socket after its handshake, which has the chain where a Python of this kind has it."""
    facts: dict[str, Any] = {
        "cipher": lambda: ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256),
        "version": lambda: "TLSv1.3",
        "selected_alpn_protocol": lambda: "http/1.1",
    }
    if how == "3.13":
        facts["get_unverified_chain"] = lambda: chain
    elif how == "3.11":
        wrapped = [SimpleNamespace(public_bytes={2: der}.__getitem__) for der in chain]
        facts["_sslobj"] = SimpleNamespace(get_unverified_chain=lambda: wrapped)
    return SimpleNamespace(
        getpeercert=lambda *, binary_form: chain[0] if binary_form and chain else None,
        **facts | more,
    )


@pytest.mark.parametrize(("how", "shown"), [("3.13", 2), ("3.11", 2), ("hidden", 1)])
def test_all_facts_are_told_and_the_certificates_as_they_came(how: str, shown: int) -> None:
    facts = facts_of(sock_of(DERS, how))
    assert (facts.version, facts.cipher, facts.bits, facts.alpn) == (
        "TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, "http/1.1"
    )  # fmt: skip
    assert facts.chain == [read_certificate(der) for der in DERS[:shown]]
    assert facts.chain[0].names == ["chat.example"]


@pytest.mark.parametrize("how", ["3.13", "3.11", "hidden"])
def test_what_is_not_there_is_told_as_none(how: str) -> None:
    facts = facts_of(sock_of([], how, cipher=lambda: None, selected_alpn_protocol=lambda: None))
    assert (facts.cipher, facts.bits, facts.alpn, facts.chain) == (None, None, None, [])


def test_certificates_are_shown_up_to_a_number_and_without_those_that_can_not_be_read() -> None:
    chain = [DERS[0], b"nonsense", *[DERS[1]] * MAX_CHAIN]
    shown = facts_of(sock_of(chain, "3.13")).chain
    assert shown == [read_certificate(der) for der in [DERS[0], *[DERS[1]] * (MAX_CHAIN - 2)]]
