"""A real redis-server for the ledger's tests, on a unix socket in a directory of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

SERVER = Path(sys.executable).parent / "redis-server"


@contextmanager
def ledger_server(*, fsync: str = "no") -> Iterator[str]:
    """Start a server, give its URL, and end it."""
    with tempfile.TemporaryDirectory(prefix="hg-ledger-") as folder:
        socket = f"{folder}/redis.sock"
        options = ["--port", "0", "--unixsocket", socket, "--dir", folder, "--save", "", "--appendonly", "yes"]
        process = subprocess.Popen([SERVER, *options, "--appendfsync", fsync], stdout=subprocess.DEVNULL)
        try:
            _answers(socket)
            yield f"unix://{socket}"
        finally:
            process.kill()
            process.wait()


def _answers(socket: str) -> None:
    client = redis.Redis(unix_socket_path=socket)
    end = time.monotonic() + 10
    while True:
        try:
            client.ping()
        except redis.ConnectionError:
            assert time.monotonic() < end, "redis-server did not start"
            time.sleep(0.02)
        else:
            client.close()
            return
