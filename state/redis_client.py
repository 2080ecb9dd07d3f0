"""The one place that makes Redis clients for the state.

Rules of this file: a client never repeats a command by itself (a repeated write would count twice); repeating is the
business of the guarded scripts, which recognise an attempt that landed. RESP2 is pinned, so replies have one shape.
"""

from __future__ import annotations

from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from state.errors import StateUnavailable

READ_BYTES: Final = 1 << 18
"""Socket reads of recovery: chunks are about 1 MiB, redis-py's default of 64 KiB costs a quarter more time."""


def connect(url: str, *, timeout_s: float = 10.0) -> redis.Redis:
    """Make a client; it connects at its first command.

    Parameters
    ----------
    url : str, ``unix:///path/redis.sock`` or ``redis://host:port/db`` (``rediss://`` for TLS).
    timeout_s : float, seconds to wait for a connection and for a reply.

    Raises
    ------
    StateUnavailable if the URL is none of these forms.
    """
    try:
        client = redis.Redis.from_url(
            url,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            socket_read_size=READ_BYTES,
            driver_info=None,
        )
    except ValueError as error:
        message = f"state url {url!r} is not understood ({error}); write unix:///path/redis.sock or redis://host:6379/0"
        raise StateUnavailable(message) from error
    for name in ("XRANGE", "XREAD"):
        client.set_response_callback(name, _plain)
    return client


def _plain(reply: Any, **_: Any) -> Any:
    """Leave a reply as it came: entries are taken apart where they are used, without a dict each."""
    return reply


def command(client: redis.Redis, *parts: bytes | str | int) -> Any:
    """Send one command (or queue it, on a pipeline) and return its plain RESP2 reply."""
    send: Any = client.execute_command
    return send(*parts)
