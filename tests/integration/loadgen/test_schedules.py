"""When messages are sent: random arrivals, and a generator that is asked for more than it can."""

import pytest
from websockets.asyncio.server import ServerConnection


async def echo(connection: ServerConnection, counts):
    async for message in connection:
        counts["received"] += 1
        await connection.send(message)


POISSON = ("--verify", "exact", "--arrivals", "poisson", "--duration", "2s")


@pytest.mark.parametrize("rate", [("--rate", "200/s"), ("--rate-per-conn", "20/s")])
def test_random_arrivals_are_as_many_in_four_processes_as_in_one(loadgen, serve_websockets, rate):
    server = serve_websockets(echo)
    sent = []
    for seed, workers in (("5", "1"), ("5", "4"), ("6", "1")):
        run = loadgen("10", server.url, *POISSON, *rate, "--seed", seed, "--workers", workers)
        assert run.target_did_right, run.report["verdict_reasons"]
        assert run.messages["sent"] == run.messages["echoed"]
        assert run.report["plan"]["arrivals"] == "poisson"
        sent.append(run.messages["sent"])
    assert sent[0] == sent[1] != sent[2]
    assert sum(sent) == server.counts["received"]
    assert all(300 < each < 500 for each in sent)


@pytest.mark.parametrize(
    ("rate", "arrivals"),
    [(("--rate", "400k/s"), "even"), (("--rate-per-conn", "40k/s"), "poisson")],
)
def test_a_run_that_is_asked_for_too_much_ends_and_says_what_it_did_not_send(
    loadgen, serve_bytes, accept, rate, arrivals
):
    async def swallow(reader, writer, key, counts):
        writer.write(accept(key))
        while await reader.read(2**20):  # whatever comes, a close frame too
            pass

    server = serve_bytes(swallow)
    run = loadgen("10", server.url, *rate, "--duration", "250ms", "--stop-timeout", "250ms",
                  "--verify", "off", "--arrivals", arrivals)  # fmt: skip
    fell_due = run.messages["sent"] + run.messages["missed"]
    if arrivals == "even":
        assert fell_due == 100_000
    assert 95_000 < fell_due < 105_000
    assert run.report["verdict"] != "valid"
    (reason,) = [why for why in run.report["verdict_reasons"] if "could not keep up" in why]
    assert f"{run.messages['missed']:,} were not sent" in reason
    assert "due and missed" in run.stdout
    # What comes before and after its three quarters of a second takes a moment.
    assert len(run.report["series"]) <= 1 + 6
