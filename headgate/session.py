"""A session: the servers behind a data folder (embedded, or by url), opened for one command and let go at its end.

Rules of this file: opening for reading never makes a data folder; the embedded Redis is started if it does not run and
shut down by the last who used it; where each server is, is decided by its url alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from engine.config import EngineConfig
from headgate.asked import Asked
from headgate.refusal import Refused
from headgate.settings import EMBEDDED, Settings
from headgate.simulated_folder import as_simulated, is_simulated, refuse_feeding

if TYPE_CHECKING:
    from connectors.log import EventLog
    from engine.shard import Shard
    from state.caller import Caller
    from state.ledger import Ledger
    from state.reader import ShardReader
    from state.recovery import Loaded
    from state.store import ShardStore


@dataclass(slots=True)
class Session:
    """What a command needs of the world outside.

    Attributes
    ----------
    settings, config : the file, and the engine's exact form of it.
    folder : Path, the data folder.
    state_url, log_url : str, where the state and the log are (never ``embedded:``).
    ledger_url : str or None, where the ledger is; None where none was begun.
    caller : on the state's Redis.
    """

    settings: Settings
    config: EngineConfig
    folder: Path
    state_url: str
    log_url: str
    ledger_url: str | None
    caller: Caller
    stack: ExitStack = field(repr=False)

    @property
    def shards(self) -> range:
        """The numbers of all shards."""
        return range(self.settings.log.shards)

    def store(self, shard: int) -> ShardStore:
        """The state of a shard, for its owner."""
        from state.store import ShardStore

        return ShardStore(self.caller.client, shard)

    def reader(self, shard: int) -> ShardReader:
        """What a shard has given out."""
        from state.reader import ShardReader

        return ShardReader(self.caller, shard)

    def peek(self, shard: int) -> tuple[Shard, Loaded]:
        """The newest state of a shard, read beside its owner."""
        from engine.shard import Shard

        found = Shard(shard, self.config)
        loaded = self.store(shard).peek(found.tables)
        found.rebuild()
        return found, loaded

    def log(self) -> EventLog:
        """The event log."""
        if self.log_url.startswith("kafka:"):
            message = "[log] url: a Kafka log cannot be read by this version; use embedded: or redis://"
            raise Refused(message)
        from connectors.redis_log import RedisLog

        log = RedisLog(self.log_url, len(self.shards))
        self.stack.callback(log.close)
        return log

    def ledger(self) -> Ledger | None:
        """The executor's ledger, or None where none was begun."""
        if self.ledger_url is None:
            return None
        from state.ledger import Ledger

        return Ledger.open(self.ledger_url)


@contextmanager
def open_session(asked: Asked, *, begin: bool = False, with_ledger: bool = False) -> Iterator[Session]:
    """Open what the settings name, and let it go at the end of the block.

    Parameters
    ----------
    asked : the command's options.
    begin : whether a data folder and an empty state may be made.
    with_ledger : whether the executor's ledger is needed too; without ``begin`` it is opened only where it exists.

    Raises
    ------
    Refused where there is nothing to read, or where ``begin`` would go on from a simulation; the errors of the servers,
    each in one line.
    """
    settings, folder = asked.settings(), asked.folder
    if is_simulated(folder):
        if begin:
            refuse_feeding(folder)
        settings = as_simulated(settings)
    with session_on(settings, folder, begin=begin, with_ledger=with_ledger) as session:
        yield session


@contextmanager
def session_on(
    settings: Settings, folder: Path, *, begin: bool = False, with_ledger: bool = False
) -> Iterator[Session]:
    """As `open_session`, on settings that were read already."""
    from state import manifest
    from state.caller import Caller
    from state.redis_client import connect

    _check_folder(folder, settings, begin=begin)
    with ExitStack() as stack:
        embedded = _embedded(stack, folder, "redis") if EMBEDDED in (settings.log.url, settings.state.url) else ""
        urls = [embedded if url == EMBEDDED else url for url in (settings.state.url, settings.log.url)]
        ledger = _ledger_url(stack, folder, settings, begin=begin) if with_ledger else None
        client = connect(urls[0], one_life=begin)
        stack.callback(client.close)
        manifest.ensure(client, settings.log.shards)
        yield Session(settings, settings.engine(), folder, urls[0], urls[1], ledger, Caller(client), stack)


def _check_folder(folder: Path, settings: Settings, *, begin: bool) -> None:
    if folder.exists() and not folder.is_dir():
        message = f"{folder} is a file; --data wants a folder"
        raise Refused(message)
    if settings.state.url == EMBEDDED and not begin and not (folder / "redis").is_dir():
        message = f"there is nothing in {folder} yet; feed it first: headgate run --data {folder} --events FILE"
        raise Refused(message)


def _embedded(stack: ExitStack, folder: Path, name: str) -> str:
    from connectors.embedded_redis import connect_or_start

    server = connect_or_start(folder, "ledger", "always") if name == "ledger" else connect_or_start(folder)
    stack.callback(server.stop)
    return server.url


def _ledger_url(stack: ExitStack, folder: Path, settings: Settings, *, begin: bool) -> str | None:
    if settings.ledger.url != EMBEDDED:
        return settings.ledger.url
    if not begin and not (folder / "ledger").is_dir():
        return None
    return _embedded(stack, folder, "ledger")
