"""Whoever meets a server of somebody else's for the first time is told what fits it."""

from __future__ import annotations

import ssl

import pytest
import trustme
from websockets.asyncio.server import ServerConnection

QUICK = ("--messages", "2", "--closed-loop")


async def echo_exactly(connection: ServerConnection, counts):
    async for message in connection:
        await connection.send(message)


@pytest.fixture
def tls_server(serve_websockets):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return serve_websockets(echo_exactly, ssl=context)


def test_of_a_server_that_echoes_exactly_it_is_said_that_verify_exact_fits(
    serve_websockets, loadgen_here
):
    server = serve_websockets(echo_exactly)
    run = loadgen_here("3", server.url, *QUICK)
    assert run.report["verdict"] == "failed"
    assert any("--verify exact fits" in hint for hint in run.report["hints"])
    assert loadgen_here("3", server.url, *QUICK, "--verify", "exact").report["verdict"] == "valid"


def test_an_unknown_authority_and_the_wrong_scheme_are_told_with_what_to_do(
    tls_server, loadgen_here
):
    secure = loadgen_here("2", tls_server.url.replace("ws:", "wss:"), *QUICK)
    assert "--cacert FILE" in secure.report["hints"][0]
    assert "--insecure" in secure.report["hints"][0]
    plain = loadgen_here("2", tls_server.url, *QUICK)
    assert "wss://" in plain.report["hints"][0]


def test_what_the_server_says_as_it_closes_is_reported(serve_websockets, loadgen_here):
    async def refuse(connection: ServerConnection, counts):
        await connection.close(4001, "quota used up")

    run = loadgen_here("3", serve_websockets(refuse).url, "--duration", "10s")
    assert run.report["connections"]["close_reasons"] == {"quota used up": 3}
    assert any('"quota used up"' in reason for reason in run.report["verdict_reasons"])
