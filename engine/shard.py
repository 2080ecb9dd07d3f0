"""A shard: everything known of the accounts whose key falls into one partition, as tables of rows.

Rules of this file: the tables are the state, all else here is derived from them and from the configuration; equal logs
give equal tables (`Shard.digest`), however the log was cut into batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.arrays import RULE, STAGE, Arrays, as_text, text_at
from engine.config import AccountConfig, EngineConfig
from engine.events import MS_PER_DAY, MS_PER_HOUR
from engine.hashing import hash_text
from engine.index import LOAD_MAX, build, build_latest, insert, slots_for
from engine.layout import INDEXED, NAMES, NEVER_MS, SHARD, TABLES
from engine.table import Table

POLICIES = ("thresholds", "headgate")
_GRID_MS = {"any": 1, "hour": MS_PER_HOUR, "day": MS_PER_DAY}
_ZONE_RULES = ("or", "and", "days")
_MODES = ("direct", "pipeline")
ACT_EVERY_MS = 6 * MS_PER_HOUR
_ROOM = (
    ("ads", 1), ("sources", 1), ("clicks", 1), ("keys", 6), ("seen", 1), ("claims", 1), ("deals", 1), ("contacts", 1),
    ("watches", 8), ("spends", 1),
)  # fmt: skip
"""The most rows of each table that one event can append."""
_NEVER_TOUCHED = ("sources", "keys", "watches")


class Shard:
    """The state of one shard.

    Parameters
    ----------
    number : int, which shard.
    config : EngineConfig, what the owners of its accounts decided.

    Attributes
    ----------
    tables : dict of name to `Table`, in stored order.
    """

    def __init__(self, number: int, config: EngineConfig) -> None:
        self.number = number
        self.config = config
        self.tables = {name: Table(name, dtype, stamped=stamped) for name, dtype, stamped in TABLES}
        self.slots: dict[str, NDArray[np.uint64]] = {}
        self.pending = np.zeros(64, np.int64)
        self.n_pending = np.zeros(1, np.int64)
        self.rules = np.zeros(0, RULE)
        self.stages = np.zeros(0, STAGE)
        self.account_configs: list[AccountConfig] = []
        self.scratch: NDArray[Any] = np.zeros(0, np.uint8)  # where an evaluation writes
        self._arrays = Arrays()
        self._ordered = list(self.tables.values())
        self._columns = np.zeros((4, len(NAMES)), np.int64)  # used, base, saved, n_touched of each table
        self._counts = self._columns.T
        self._version = 0
        self._bundled = -1
        self.rebuild()

    @property
    def row(self) -> Any:
        """The shard's own row: clocks and counters."""
        return self.tables["shard"].rows[0]

    def rebuild(self, each: Callable[..., Iterable[None]] = map) -> None:
        """Derive indexes, rules and waits from the tables (after recovery, or a change of configuration).

        Parameters
        ----------
        each : as `map`; a thread pool's builds several indexes at a time, as kernels leave the interpreter free.
        """
        shard = self.tables["shard"]
        if not shard.used:
            shard.reserve(1)
            shard.rows[0] = np.zeros(1, SHARD)[0]
            shard.used = 1
        self._version += 1
        for _ in each(self.index, INDEXED):
            pass
        claims = self.tables["claims"].live()
        waiting = np.flatnonzero(claims["waiting"] == 1)
        self.pending = np.zeros(max(64, 2 * waiting.size), np.int64)
        self.pending[: waiting.size] = waiting
        self.n_pending[0] = waiting.size
        self.account_configs = []
        self.rules = np.zeros(0, RULE)
        self.stages = np.zeros(0, STAGE)
        for row in self.tables["accounts"].live():
            tenant, account = text_at(self.tables["texts"].rows, int(row["name"]), 2)
            self._add_rule(self.config.of(tenant, account))

    def index(self, name: str, more: int = 0) -> None:
        """Make the index of a table large enough for ``more`` rows, building it anew if it is not."""
        table = self.tables[name]
        need = slots_for(table.used + more)
        if name in self.slots and more and self.slots[name].size >= need:
            return
        slots = np.zeros(need, np.uint64)
        (build_latest if name == "seen" else build)(slots, table.rows, table.used)
        self.slots[name] = slots
        self._version += 1

    def make_room(self, events: int, text: int) -> None:
        """Make room for ``events`` events with ``text`` bytes of texts, whatever they are."""
        if not self._has_room(events, text):
            rows = {name: each * events for name, each in _ROOM} | {"texts": text, "click_texts": text}
            self.reserve(rows, dict.fromkeys(("clicks", "seen", "spends"), 8 * events))

    def _has_room(self, events: int, text: int) -> bool:
        for name, each in _ROOM:
            table = self.tables[name]
            need = table.used + each * events
            if need > table.rows.size or need > self.slots[name].size * LOAD_MAX:
                return False
            marks = need if table.stamped else table.n_touched + 8 * events
            if marks > table.touched.size and name not in _NEVER_TOUCHED:
                return False
        waits = int(self.n_pending[0]) + events <= self.pending.size
        return waits and all(self.tables[t].rows.size - self.tables[t].used >= text for t in ("texts", "click_texts"))

    def reserve(self, rows: dict[str, int], touches: dict[str, int]) -> None:
        """Make room for appended and touched rows in tables, indexes and waits."""
        for name, more in rows.items():
            self.tables[name].reserve(more, touches.get(name, 0))
            if name in self.slots:
                self.index(name, more)
        waits = int(self.n_pending[0]) + rows.get("claims", 0)
        if waits > self.pending.size:
            self.pending = np.concatenate([self.pending, np.zeros(waits, np.int64)])
            self._version += 1

    def arrays(self) -> Arrays:
        """Bundle the arrays for a kernel; hand the bundle to `settle` when the kernel is done."""
        tables = self._ordered
        self._counts[:] = [(table.used, table.base, table.saved, table.n_touched) for table in tables]
        version = self._version + sum([table.version for table in tables])
        if version == self._bundled:
            return self._arrays
        self._bundled = version
        self._arrays.renew(
            [
                *(table.rows for table in tables),
                *(self.slots[name] for name in INDEXED),
                *(table.stamps for table in tables if table.stamped),
                *(table.touched for table in tables),
                *self._columns,
                self.pending,
                self.n_pending,
                self.rules,
                self.stages,
            ]
        )
        return self._arrays

    def settle(self, arrays: Arrays) -> None:
        """Take back the counts that a kernel changed."""
        for table, (used, _, _, touched) in zip(self._ordered, self._counts.tolist(), strict=True):
            table.used = used
            table.n_touched = touched

    def touch_all(self, name: str, places: NDArray[Any]) -> None:
        """Note that several older rows of a stamped table changed."""
        table = self.tables[name]
        places = np.unique(places)
        places = places[places < table.saved]
        places = places[table.stamps[places] == 0]
        table.stamps[places] = 1
        table.touched[table.n_touched : table.n_touched + places.size] = places
        table.n_touched += places.size

    def touch(self, name: str, place: int) -> None:
        """Note that an older row of a stamped table changed (outside of the kernels)."""
        table = self.tables[name]
        if place < table.saved and table.stamps[place] == 0:
            table.stamps[place] = 1
            table.touched[table.n_touched] = place
            table.n_touched += 1

    def write_text(self, *texts: str) -> int:
        """Keep short texts; returns where."""
        data = as_text(list(texts))
        table = self.tables["texts"]
        table.reserve(data.size)
        at = table.used
        table.rows[at : at + data.size] = data
        table.used += data.size
        return at

    def text(self, at: int, count: int = 1) -> list[str]:
        """Read short texts back."""
        return text_at(self.tables["texts"].rows, at, count)

    def enter(self, name: str, row: dict[str, Any]) -> int:
        """Append a row (a field left out is 0) to an indexed table outside of the kernels; returns its place."""
        table = self.tables[name]
        self.reserve({name: 1}, {})
        place = table.used
        table.used += 1
        for field, value in row.items():
            table.rows[place][field] = value
        insert(self.slots[name], np.uint64(row["hash"]), place)
        return place

    def add_account(self, hash_: int, tenant: str, account: str) -> int:
        """Enter an account; returns its place."""
        name = self.write_text(tenant, account)
        place = self.enter("accounts", {"hash": np.uint64(hash_), "name": name})
        for field in ("max_event_ms", "max_click_ms", "max_spend_ms", "max_value_ms"):
            self.tables["accounts"].rows[place][field] = -1
        self.tables["accounts"].rows[place]["oldest_reversal_ms"] = NEVER_MS
        self._add_rule(self.config.of(tenant, account))
        return place

    def _add_rule(self, config: AccountConfig) -> None:
        stages = []
        for name, stage in config.stages.items():
            for spelling in (name, *stage.aliases):
                row = np.zeros(1, STAGE)
                row["hash"], row["value_micros"], row["uses_value"] = (
                    hash_text(spelling),
                    stage.value_micros,
                    stage.uses_value,
                )
                stages.append(row)
        rule = np.zeros(1, RULE)
        rule["grid_ms"] = _GRID_MS[config.spend_granularity]
        rule["lookback_ms"] = config.lookback_ms
        rule["currency"] = int.from_bytes(config.currency.encode(), "little")
        rule["stage_at"], rule["stage_count"] = self.stages.size, len(stages)
        rule["mode"] = _MODES.index(config.mode)
        rule["policy"] = POLICIES.index(config.policy)
        rule["zone_rule"] = _ZONE_RULES.index(config.zone.rule)
        rule["zone_days_ms"], rule["zone_spend_micros"] = config.zone.days_ms, config.zone.spend_micros
        rule["kill_spend_micros"] = config.thresholds.kill_spend_micros
        rule["kill_roas_ppm"] = config.thresholds.kill_roas_ppm
        rule["scale_roas_ppm"] = config.thresholds.scale_roas_ppm
        rule["break_even_ppm"] = config.break_even_ppm
        rule["act_every_ms"] = ACT_EVERY_MS
        self._version += 1
        self.rules = np.concatenate([self.rules, rule])
        self.stages = np.concatenate([self.stages, *stages])
        self.account_configs.append(config)

    def account_name(self, place: int) -> tuple[str, str]:
        """Tenant and account of the account at a place."""
        tenant, account = self.text(int(self.tables["accounts"].rows[place]["name"]), 2)
        return tenant, account

    def digest(self) -> str:
        """A digest of all tables: 32 hex digits, equal for equal logs."""
        digest = blake2b(digest_size=16)
        for name, table in self.tables.items():
            digest.update(f"{name}:{table.base}:{table.used};".encode())
            digest.update(table.live().tobytes())
        return digest.hexdigest()
