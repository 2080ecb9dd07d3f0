"""The events that the proofs run on: a small busy workload with ads that can be moved and lines that are refused.

Rules of this file: equal arguments give equal bytes; what must come of the lines is said by the witness of
`tests.reference.model`, never by the product.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.workload import CLOCK_MS, START_MS, account_name, config_toml, generate
from engine.config import EngineConfig
from engine.events import MS_PER_DAY
from headgate.settings_file import load_settings
from tests.reference.model import Reference

ACCOUNTS = 6
ADS = 36
BAD_LINES = (
    b"{not json",
    b"\xff\xfe",
    b'{"kind":"weather","event_id":"w"}',
    b'{"kind":"click","event_id":"q1","tenant":"north","account":"act_000","source":"site","occurred_at_ms":NaN}',
)
TOTALS = (
    "clicks", "platform_clicks", "impressions", "conversions", "revenue_micros", "pipeline_micros", "spend_micros",
)  # fmt: skip
COUNTS = ("lines", "blank", "accepted", "duplicates", "conflicting_duplicates", "unknown_fields")
LIMITS = """
[guardrails]
velocity = 1
velocity_hours = "0.0001"
max_changes_entity = 1000
max_changes_campaign = 10000
max_changes_account = 100000
cooldown_hours = 0
stale_spend_hours = 8760
stale_conversions_hours = 8760
jitter_min_s = 0
jitter_max_s = 0
"""
"""Limits that hold nothing back: what is proved here is that commands are carried out once, not whether they may be."""


@dataclass(frozen=True)
class Workload:
    """Files to be fed one after another."""

    pieces: tuple[tuple[bytes, ...], ...]

    def write(self, folder: Path) -> list[Path]:
        """Write the files; gives their paths in order."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"{number:04d}.ndjson" for number in range(len(self.pieces))]
        for path, lines in zip(paths, self.pieces, strict=True):
            path.write_bytes(b"\n".join(lines) + b"\n")
        return paths

    def witness(self, config: EngineConfig) -> Reference:
        """What must have come of all lines; each file closes all waits at its end."""
        reference = Reference(config, CLOCK_MS)
        for lines in self.pieces:
            for line in lines:
                reference.feed(line)
            reference.end()
        return reference


def make(events: int, pieces: int, seed: int = 7, ads: int = ADS) -> Workload:
    """About ``events`` lines in ``pieces`` files: a catalog, then the workload of the benchmarks, bad lines in it."""
    lines = [json.dumps(row, separators=(",", ":")).encode() for row in catalog(ads)]
    for number, line in enumerate(generate(events, ads, ACCOUNTS, seed)):
        lines.append(line)
        if number % 97 == 0:
            lines.append(BAD_LINES[number // 97 % len(BAD_LINES)])
    size = -(-len(lines) // pieces)
    return Workload(tuple(tuple(lines[at : at + size]) for at in range(0, len(lines), size)))


def catalog(ads: int) -> list[dict[str, Any]]:
    """An ad set with a budget around each ad, live for a month."""
    rows = []
    for ad in range(ads):
        tenant, account = account_name(ad % ACCOUNTS)
        rows.append(
            {
                "kind": "catalog", "event_id": f"cat-{ad}", "tenant": tenant, "account": account, "source": "platform",
                "occurred_at_ms": START_MS, "ad_id": f"ad_{ad:06d}", "ad_set_id": f"set_{ad}",
                "campaign_id": f"campaign_{ad % 2}", "budget_entity": f"ad_set:set_{ad}",
                "daily_budget_micros": (20 + ad) * 1_000_000, "status": "active",
                "launched_at_ms": START_MS - 30 * MS_PER_DAY, "currency": "USD",
            }
        )  # fmt: skip
    return rows


def toml(*, autonomy: str, shards: int, expiry_minutes: int = 60, urls: dict[str, str] | None = None) -> str:
    """A ``headgate.toml`` for the workload."""
    defaults = (
        f'[defaults]\nautonomy = "{autonomy}"\npolicy = "thresholds"\nzone_days = 0\nzone_spend = 1\n'
        'kill_spend = 10\nkill_roas = "0.9"\nscale_roas = "1.5"\n'
    )
    sections = "".join(f'[{name}]\nurl = "{url}"\n' for name, url in (urls or {}).items() if name != "log")
    log = f"[log]\nshards = {shards}\n" + (f'url = "{urls["log"]}"\n' if urls and "log" in urls else "")
    limits = f"{LIMITS}expiry_minutes = {expiry_minutes}\n"
    return defaults + log + sections + limits + config_toml(ACCOUNTS)


def config_of(path: Path) -> EngineConfig:
    """The engine's form of a ``headgate.toml``."""
    return load_settings(path).engine()
