"""What a message costs: as one among many, and more where each wakes its process."""

import math

import pytest

from loadgen.preflight import costs as measured
from loadgen.preflight.costs import GENERATOR, SERVER, Costs

COSTS = Costs(socket_bytes=1, message_us=20.0, handshake_us=1)


@pytest.mark.parametrize(
    ("rate_per_s", "more_us"),
    [
        pytest.param(0.0, 0.0, id="none"),
        pytest.param(1.0, 280.0, id="one"),
        pytest.param(73.0, 280.0, id="last-at-the-bound"),
        pytest.param(74.0, 2550 / math.sqrt(74) - 18, id="first-below-it"),
        pytest.param(2_500.0, 33.0, id="some"),
        pytest.param(10_000.0, 7.5, id="many"),
        pytest.param(20_070.0, 0.0, id="as-many-as-it-takes"),
        pytest.param(1e9, 0.0, id="more"),
    ],
)
def test_the_fewer_messages_a_process_has_the_more_each_costs_up_to_a_bound(rate_per_s, more_us):
    assert COSTS.message_us_among(rate_per_s) == pytest.approx(20.0 + more_us)


def test_more_messages_never_cost_less_in_all():
    rates = [10 ** (exponent / 8) for exponent in range(64)]
    for costs in (SERVER, GENERATOR):
        each = [costs.message_us_among(rate) for rate in rates]
        assert each == sorted(each, reverse=True)
        whole = [rate * us for rate, us in zip(rates, each, strict=True)]
        assert whole == sorted(whole)


def test_memory_is_what_was_measured():
    """As docs/benchmarks.md and docs/scale.md have it: others compute with these."""
    assert (SERVER.socket_bytes, GENERATOR.socket_bytes) == (2_850, 1_400)
    assert (measured.KERNEL_BYTES, measured.PROCESS_BYTES) == (5_100, 14 * 2**20)
    assert (measured.SOCKET_BYTES, measured.TLS_SOCKET_BYTES) == (10_240, 49_152)


def test_processor_time_is_what_was_measured():
    assert (SERVER.message_us, GENERATOR.message_us) == (10.9, 23.6)
    assert (SERVER.handshake_us, GENERATOR.handshake_us) == (80, 80)
