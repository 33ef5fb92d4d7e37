"""The notebook client of the renderer, which also runs the notebooks in tests."""

import asyncio
from queue import Empty
from time import monotonic

import pytest

from render.client import look_again


class DeafChannel:
    """A channel whose reply is there from the start, but wakes nobody who waits already."""

    def __init__(self, looks_before_it_is_seen: int):
        self.looks = looks_before_it_is_seen

    async def get_msg(self, timeout: float | None = None) -> dict:
        if not self.looks:
            return {"content": {"status": "ok"}}
        self.looks -= 1
        await asyncio.sleep(3600 if timeout is None else timeout)
        raise Empty


@pytest.mark.parametrize("timeout", [None, 900])
def test_a_reply_that_wakes_nobody_is_found_by_looking_again(timeout):
    channel = DeafChannel(looks_before_it_is_seen=1)
    look_again(channel)
    found = asyncio.run(asyncio.wait_for(channel.get_msg(timeout=timeout), 60))
    assert found["content"]["status"] == "ok"


def test_time_runs_out_as_before():
    channel = DeafChannel(looks_before_it_is_seen=10**6)
    look_again(channel)
    start = monotonic()
    with pytest.raises(Empty):
        asyncio.run(channel.get_msg(timeout=1.3))
    assert monotonic() - start >= 1.3
