"""The README's sample files: one week of a shop that sells directly and of a clinic that sells by a CRM funnel.

Rules of this file: equal runs write equal bytes; each ad is there to show one thing. The files are small enough to
read: run ``python -m bench.samples`` to write them again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from engine.events import MS_PER_DAY, MS_PER_HOUR

START_MS: Final = 1_780_876_800_000  # Monday 2026-06-08 00:00 UTC
END_MS: Final = START_MS + 7 * MS_PER_DAY
MICROS: Final = 1_000_000
SNAPSHOT_HOURS: Final = (6, 12, 18, 24)

CONFIG: Final = """\
# A week of two accounts: a shop that sells directly, and a clinic that sells by a CRM funnel.
[tenants.demo.accounts.shop]
mode = "direct"

[tenants.demo.accounts.clinic]
mode = "pipeline"
stages = "service"
"""

Line = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ad:
    """One ad: what it costs and what its clicks turn into.

    Attributes
    ----------
    daily, click_cost : money units.
    sale_chance : chance that a click becomes a sale (shop) or a lead (clinic).
    sale : mean worth of a sale (shop), money units.
    funnel : the stages its leads reach, each with the days after the click at which they do (clinic).
    launched : days after the start of the week; negative: before it.
    """

    ad_id: str
    ad_set_id: str
    daily: int
    click_cost: float
    sale_chance: float
    sale: int = 0
    funnel: tuple[tuple[str, float], ...] = ()
    launched: float = -20.0


SHOP: Final = (
    Ad(ad_id="video_reviews", ad_set_id="prospecting", daily=60, click_cost=2.6, sale_chance=0.11, sale=84),
    Ad(ad_id="carousel_new_in", ad_set_id="catalogue", daily=45, click_cost=2.9, sale_chance=0.05, sale=58),
    Ad(ad_id="static_discount", ad_set_id="lookalikes", daily=48, click_cost=3.4, sale_chance=0.012, sale=34),
    Ad(
        ad_id="creator_unboxing", ad_set_id="testing", daily=40, click_cost=2.5, sale_chance=0.03, sale=55, launched=5.4
    ),
)
BOOKS_FAST: Final = (("lead", 0.1), ("appointment_scheduled", 0.8), ("show_up", 2.5), ("closed_won", 4.0))
BOOKS_SLOW: Final = (("lead", 0.3), ("appointment_scheduled", 4.2), ("show_up", 5.6))
LOSES: Final = (("lead", 0.2), ("closed_lost", 1.5))
CLINIC: Final = (
    Ad(ad_id="local_search", ad_set_id="search", daily=85, click_cost=7.5, sale_chance=0.09, funnel=BOOKS_FAST),
    Ad(ad_id="doctor_explains", ad_set_id="stories", daily=70, click_cost=6.5, sale_chance=0.16, funnel=BOOKS_SLOW),
    Ad(ad_id="free_guide", ad_set_id="downloads", daily=65, click_cost=4.5, sale_chance=0.14, funnel=LOSES),
    Ad(
        ad_id="before_after",
        ad_set_id="retargeting",
        daily=55,
        click_cost=6.0,
        sale_chance=0.1,
        funnel=BOOKS_SLOW,
        launched=5.7,
    ),
)


class Account:
    """A seeded account whose week is written down event by event."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.rng = np.random.default_rng(seed)
        self.lines: list[Line] = []

    def add(self, kind: str, source: str, at: float, **fields: Any) -> None:
        """Write an event down, unless the week is over by then."""
        if at < END_MS:
            event_id = f"{self.name}-{len(self.lines) + 1:05d}"
            head = {"kind": kind, "event_id": event_id, "tenant": "demo", "account": self.name, "source": source}
            self.lines.append(head | {"occurred_at_ms": int(at)} | fields)

    def play(self, ads: tuple[Ad, ...]) -> Iterator[bytes]:
        """The week's lines in the order they arrive; a few of them twice."""
        for ad in ads:
            self.introduce(ad)
            clicks = self.click(ad)
            self.bill(ad, clicks)
        delay = self.rng.integers(0, 240_000, len(self.lines))
        arrivals = [(line["occurred_at_ms"] + int(wait), line) for line, wait in zip(self.lines, delay, strict=True)]
        again = self.rng.choice(len(arrivals), len(arrivals) // 60, replace=False)
        arrivals += [(arrivals[i][0] + 30_000, arrivals[i][1]) for i in again.tolist()]
        for _, line in sorted(arrivals, key=lambda arrival: arrival[0]):
            yield json.dumps(line, separators=(",", ":")).encode()

    def introduce(self, ad: Ad) -> None:
        """What the platform says the ad is, once a week or at its launch."""
        launched = START_MS + int(ad.launched * MS_PER_DAY)
        self.add(
            "catalog",
            "platform",
            max(START_MS, launched),
            ad_id=ad.ad_id,
            ad_set_id=ad.ad_set_id,
            campaign_id=f"{self.name}_2026",
            budget_entity=f"ad_set:{ad.ad_set_id}",
            daily_budget_micros=ad.daily * MICROS,
            status="active",
            launched_at_ms=launched,
            currency="USD",
        )

    def click(self, ad: Ad) -> list[int]:
        """The ad's clicks, and what becomes of those that are tracked; gives the times of all."""
        begin = max(START_MS, START_MS + int(ad.launched * MS_PER_DAY))
        number = int((END_MS - begin) / MS_PER_DAY * ad.daily / ad.click_cost)
        times = np.sort(self.rng.integers(begin, END_MS, number)).tolist()
        owed = 0.4
        for i, at in enumerate(times):
            owed += ad.sale_chance
            if i % 12 == 11:
                continue  # a click that the tracker never saw
            click_id = f"{ad.ad_id}-{i + 1:04d}"
            keys = {"fbclid": f"IwAR{self.rng.integers(16**10):010x}"} if i % 3 else {}
            self.add("click", "site", at, click_id=click_id, ad_id=ad.ad_id, **keys)
            if owed >= 1:
                owed -= 1
                evidence = keys if keys and i % 2 else {"click_id": click_id}
                if i % 6 == 0:
                    evidence = {"ad_id": ad.ad_id}  # an order or enquiry by phone that names the ad
                (self.close if ad.funnel else self.sell)(ad, at, click_id, evidence)
        return times

    def sell(self, ad: Ad, at: int, click_id: str, evidence: dict[str, str]) -> None:
        """A sale some hours after the click; some buy again, one in twelve is refunded in part or whole."""
        value = int(ad.sale * self.rng.uniform(0.6, 1.5)) * MICROS
        bought = at + self.rng.exponential(5 * MS_PER_HOUR)
        order = f"order-{click_id}"
        money = {"type": "purchase", "value_micros": value, "currency": "USD"}
        contact = {"contact": f"c{self.rng.integers(16**8):08x}"}
        self.add("conversion", "shop", bought, conversion_id=order, **money, **evidence, **contact)
        if self.rng.random() < 0.2:
            again = bought + self.rng.uniform(1.0, 3.0) * MS_PER_DAY
            self.add("conversion", "shop", again, conversion_id=f"{order}-again", **money, **contact)
        if self.rng.random() < 1 / 12:
            money |= {"type": "refund", "value_micros": value if self.rng.random() < 0.5 else value // 2}
            returned = bought + self.rng.uniform(0.5, 2.0) * MS_PER_DAY
            self.add("conversion", "shop", returned, conversion_id=f"refund-{click_id}", **money, reverses=order)

    def close(self, ad: Ad, at: int, click_id: str, evidence: dict[str, str]) -> None:
        """A deal that climbs the ad's funnel; the CRM knows the click at first, the contact afterwards."""
        contact = {"contact": f"c{self.rng.integers(16**8):08x}"}
        for place, (stage, days) in enumerate(ad.funnel):
            when = at + days * MS_PER_DAY * self.rng.uniform(0.9, 1.1)
            deal = {"deal_id": f"deal-{click_id}", "stage": stage, "currency": "USD"}
            if stage == "closed_won":
                deal["value_micros"] = int(self.rng.integers(9_000, 18_000)) * MICROS
            if place and self.rng.random() < 0.35:
                break  # it stays where it is
            self.add("crm_stage", "crm", when, **deal, **contact, **(evidence if place == 0 else {}))

    def bill(self, ad: Ad, clicks: list[int]) -> None:
        """Spend snapshots: today so far, four times a day; each replaces the one before."""
        for day in range(7):
            start = START_MS + day * MS_PER_DAY
            for hours in SNAPSHOT_HOURS:
                until = start + hours * MS_PER_HOUR
                counted = sum(start <= at < until for at in clicks)
                if counted:
                    self.add(
                        "spend",
                        "platform",
                        until + (12 * 60_000 if hours < 24 else -60_000),
                        ad_id=ad.ad_id,
                        period_start_ms=start,
                        period_end_ms=start + MS_PER_DAY,
                        spend_micros=int(counted * ad.click_cost * MICROS),
                        impressions=counted * 71,
                        clicks=counted,
                        currency="USD",
                    )


def write(folder: Path) -> list[Path]:
    """Write the sample files and their configuration into a folder; gives the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "shop.ndjson", folder / "clinic.ndjson", folder / "headgate.toml"]
    paths[0].write_bytes(b"\n".join(Account("shop", 11).play(SHOP)) + b"\n")
    paths[1].write_bytes(b"\n".join(Account("clinic", 12).play(CLINIC)) + b"\n")
    paths[2].write_text(CONFIG, encoding="utf-8")
    return paths


if __name__ == "__main__":
    for path in write(Path(sys.argv[1] if len(sys.argv) > 1 else "samples")):
        print(f"{path} {path.stat().st_size:,} bytes")
