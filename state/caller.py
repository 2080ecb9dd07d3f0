"""Calls of scripts: by SHA, loaded when the server does not know them, repeated while the server is away.

Rules of this file: only guarded or idempotent scripts pass here, so repeating after a lost reply is safe; a refusal by
the server (disk full, wrong type) is not repeated.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import redis

from state.errors import StateError, StateUnavailable
from state.redis_client import command
from state.scripts import Script

_AWAY: Final = (redis.ConnectionError, redis.TimeoutError, redis.exceptions.ReadOnlyError, redis.BusyLoadingError)
_REFUSALS: Final = re.compile(r"(MISCONF|OOM|NOREPLICAS|READONLY)\b.*")
_PAUSES_S: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


class Caller:
    """Runs scripts and reads on one client.

    Parameters
    ----------
    client : redis.Redis made by `state.redis_client.connect`: it must not retry by itself.
    patience_s : float, how long a call is repeated while the server is away.
    """

    def __init__(self, client: redis.Redis, *, patience_s: float = 10.0) -> None:
        self.client = client
        self.patience_s = patience_s

    def run(self, script: Script, keys: Sequence[str], args: Sequence[bytes | str | int]) -> Any:
        """Run one script.

        Raises
        ------
        StateUnavailable if the server stays away; StateError if it refuses the script.
        """
        parts = ("EVALSHA", script.sha, len(keys), *keys, *args)

        def once() -> Any:
            try:
                return command(self.client, *parts)
            except redis.exceptions.NoScriptError:
                self.client.script_load(script.text)
                return command(self.client, *parts)

        return self.patiently(once)

    def patiently(self, call: Callable[[], Any]) -> Any:
        """Make an idempotent call, again and again while the server is away."""
        start = time.monotonic()
        attempt = 0
        while True:
            try:
                return call()
            except _AWAY as error:
                if time.monotonic() - start >= self.patience_s:
                    message = f"the state's Redis does not answer ({error}); start it or mend [state] url"
                    raise StateUnavailable(message) from error
                time.sleep(_PAUSES_S[min(attempt, len(_PAUSES_S) - 1)])
                attempt += 1
            except redis.ResponseError as error:
                text = str(error).splitlines()[0]
                refusal = _REFUSALS.search(text)
                if refusal is not None:
                    message = f"the state's Redis refuses to write: {refusal.group()}"
                    raise StateUnavailable(message) from error
                message = f"the state's Redis refused a call: {text}"
                raise StateError(message) from error
            except redis.RedisError as error:
                message = f"the state's Redis cannot be used: {error}"
                raise StateUnavailable(message) from error
