"""A notebook client that misses no reply of the kernel."""

from __future__ import annotations

import math
from queue import Empty
from time import monotonic
from typing import Any

import nbclient

LOOK_AGAIN = 1.0  # seconds


class NotebookClient(nbclient.NotebookClient):
    """nbclient's client, which looks for the kernel's reply anew each second.

    A reply that comes while nbclient answers a widget wakes nobody, and nbclient waits until the
    cell's time is up, or for ever (issue 312 of nbclient). It lies there for who looks again.
    """

    async def async_start_new_kernel_client(self) -> Any:
        client = await super().async_start_new_kernel_client()
        look_again(client.shell_channel)
        return client


def look_again(channel: Any) -> None:
    """Let a channel's `get_msg(timeout)` wait in steps of a second, and end as before."""
    wait = channel.get_msg

    async def get_msg(timeout: float | None = None) -> dict[str, Any]:
        end = monotonic() + (math.inf if timeout is None else timeout)
        while True:
            try:
                return await wait(timeout=max(min(LOOK_AGAIN, end - monotonic()), 0.0))
            except Empty:
                if monotonic() >= end:
                    raise

    channel.get_msg = get_msg
