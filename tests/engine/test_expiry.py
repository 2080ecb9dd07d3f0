"""Clicks and event ids leave when they can no longer matter, and what remains still works."""

from __future__ import annotations

import pytest

from engine.config import EngineConfig
from headgate.ad_rows import ad_rows
from tests.engine.drive import Drive
from tests.engine.events_made import DAY_MS, NOW_MS, click, conversion


@pytest.fixture
def long_feed(monkeypatch: pytest.MonkeyPatch) -> Drive:
    monkeypatch.setattr("engine.expiry.WORTH_ROWS", 4)
    drive = Drive(EngineConfig(), NOW_MS + 100 * DAY_MS)
    for day in range(40):
        at_ms = NOW_MS + day * DAY_MS
        drive.feed([click(f"c{day}", gclid=f"g{day}", occurred_at_ms=at_ms)])
        drive.tick(at_ms)
    return drive


def test_only_the_window_is_kept(long_feed: Drive) -> None:
    clicks = long_feed.shard.tables["clicks"]
    newest = int(clicks.live()["occurred_at_ms"].max())
    assert int(clicks.live()["occurred_at_ms"].min()) <= newest - 14 * DAY_MS
    assert clicks.used < 25
    assert clicks.base + clicks.used == 40
    assert long_feed.shard.tables["keys"].used == clicks.used
    assert long_feed.shard.tables["seen"].used < 40


def test_totals_stay_and_late_conversions_still_find_their_clicks(long_feed: Drive) -> None:
    at_ms = NOW_MS + 39 * DAY_MS
    long_feed.feed(
        [
            conversion("o1", gclid="g35", occurred_at_ms=at_ms),
            conversion("o2", click_id="c26", occurred_at_ms=at_ms - 6 * DAY_MS),
        ]
    )
    long_feed.tick(at_ms, end=True)
    row = next(iter(ad_rows(long_feed.shard)))
    assert (row["clicks"], row["conversions"]) == (40, 2)


def test_a_click_at_the_far_end_of_the_window_is_kept(long_feed: Drive) -> None:
    """Lateness and lookback add up: a conversion a week late may name a click a week older still."""
    at_ms = NOW_MS + 39 * DAY_MS
    long_feed.feed([conversion("o3", click_id="c25", occurred_at_ms=at_ms - 7 * DAY_MS)])
    long_feed.tick(at_ms, end=True)
    assert next(iter(ad_rows(long_feed.shard)))["conversions"] == 1
