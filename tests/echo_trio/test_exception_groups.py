"""Which exception of a nursery's group comes out."""

from __future__ import annotations

import pytest
import trio

from echo_trio.exception_groups import main_exception


@pytest.fixture
async def group() -> BaseExceptionGroup[BaseException]:
    """The group of a cancelled nursery, one of whose tasks has failed in its clean-up."""

    async def fail_at_the_end() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("ours")

    groups: list[BaseExceptionGroup[BaseException]] = []
    try:
        with trio.CancelScope() as scope:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.sleep_forever)
                    nursery.start_soon(fail_at_the_end)
                    scope.cancel()
            except BaseExceptionGroup as raised:
                groups.append(raised)
                raise
    except* OSError:
        pass
    return groups[0]


async def test_an_error_comes_before_the_cancellations_beside_it(group):
    cancelled, ours = group.split(trio.Cancelled)
    assert repr(main_exception(group)) == "OSError('ours')"
    for both in ([cancelled, ours], [ours, cancelled]):
        nested = BaseExceptionGroup("", [BaseExceptionGroup("", both)])
        assert repr(main_exception(nested)) == "OSError('ours')"


async def test_without_an_error_a_cancellation_comes_out(group):
    cancelled, _ = group.split(trio.Cancelled)
    assert isinstance(main_exception(cancelled), trio.Cancelled)
