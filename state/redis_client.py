"""The one place that makes Redis clients for the state.

Rules of this file: a client never repeats a command by itself (a repeated write would count twice); repeating is the
business of the guarded scripts, which recognise an attempt that landed. RESP2 is pinned, so replies have one shape.
"""

from __future__ import annotations

import re
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from state.errors import StateUnavailable

_RUN_ID: Final = re.compile(rb"run_id:(\w+)")

READ_BYTES: Final = 1 << 18
"""Socket reads of recovery: chunks are about 1 MiB, redis-py's default of 64 KiB costs a quarter more time."""


def connect(url: str, *, timeout_s: float = 10.0, one_life: bool = False) -> redis.Redis:
    """Make a client; it connects at its first command.

    Parameters
    ----------
    url : str, ``unix:///path/redis.sock`` or ``redis://host:port/db`` (``rediss://`` for TLS).
    timeout_s : float, seconds to wait for a connection and for a reply.
    one_life : whether it refuses a server that was started anew, or another one: for processes whose memory follows
        from what they read before. The new one may have forgotten some of that, the event log's last entries too, and
        the guard of a commit sees only what is missing in the state itself.

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
            redis_connect_func=_OneLife() if one_life else None,
        )
    except ValueError as error:
        message = f"state url {url!r} is not understood ({error}); write unix:///path/redis.sock or redis://host:6379/0"
        raise StateUnavailable(message) from error
    for name in ("XRANGE", "XREAD"):
        client.set_response_callback(name, _plain)
    return client


class _OneLife:
    """Opens connections to that run of a server only to which the first one led."""

    def __init__(self) -> None:
        self._run: bytes | None = None

    def __call__(self, connection: Any) -> None:
        connection.on_connect()
        run = _run_of(connection)
        if self._run is None:
            self._run = run
        if run != self._run:
            message = "it was started anew since; start this process anew too, so that it reads what is there now"
            raise redis.RedisError(message)


def _run_of(connection: Any) -> bytes:
    """The server's nonce of this run; empty where we may not ask."""
    connection.send_command("INFO", "server")
    try:
        found = _RUN_ID.search(connection.read_response())
    except redis.ResponseError:
        return b""
    return found[1] if found else b""


def _plain(reply: Any, **_: Any) -> Any:
    """Leave a reply as it came: entries are taken apart where they are used, without a dict each."""
    return reply


def command(client: redis.Redis, *parts: bytes | str | int) -> Any:
    """Send one command (or queue it, on a pipeline) and return its plain RESP2 reply."""
    send: Any = client.execute_command
    return send(*parts)
