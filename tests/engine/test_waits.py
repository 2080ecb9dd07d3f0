"""Waiting for a click, for a conversion; and the end of it on both sides of each limit."""

from __future__ import annotations

from typing import Any

from engine.config import EngineConfig
from engine.events import MS_PER_HOUR
from headgate.ad_rows import ad_rows
from headgate.attribution_rows import attribution_rows
from tests.engine.drive import Drive
from tests.engine.events_made import DAY_MS, NOW_MS, click, conversion

HOUR_MS = MS_PER_HOUR


def fed(*lines: bytes) -> Drive:
    drive = Drive(EngineConfig(), NOW_MS + 100 * DAY_MS)
    drive.feed(list(lines))
    return drive


def credit(drive: Drive) -> dict[str, Any]:
    return next(iter(attribution_rows(drive.shard)))


def test_a_conversion_waits_until_clicks_are_an_hour_ahead() -> None:
    drive = fed(conversion("o1", click_id="c1", ad_id="own"))
    drive.tick(NOW_MS)
    assert credit(drive)["ad_id"] is None
    drive.feed([click("c0", occurred_at_ms=NOW_MS + HOUR_MS - 1)])
    drive.tick(NOW_MS + 1)
    assert credit(drive)["ad_id"] is None
    drive.feed([click("c00", occurred_at_ms=NOW_MS + HOUR_MS)])
    drive.tick(NOW_MS + 2)
    assert (credit(drive)["ad_id"], credit(drive)["layer"]) == ("own", "own_ad_id")
    drive.feed([click("c1", "late", occurred_at_ms=NOW_MS - 5)])
    assert (credit(drive)["ad_id"], credit(drive)["click_id"]) == ("late", "c1")


def test_no_wait_where_clicks_are_ahead_already() -> None:
    drive = fed(click("c0", occurred_at_ms=NOW_MS + HOUR_MS), conversion("o1", click_id="c1", ad_id="own"))
    assert credit(drive)["ad_id"] == "own"


def test_the_end_of_the_feed_closes_all_waits() -> None:
    drive = fed(conversion("o1", click_id="c1", ad_id="own"), conversion("r1", 3, reverses="nothing"))
    drive.tick(NOW_MS, end=True)
    assert credit(drive)["ad_id"] == "own"
    assert [reason for reason, _ in drive.dead_letters()] == ["orphan_reversal"]


def test_a_reversal_waits_seven_days_and_not_a_millisecond_more() -> None:
    for late_ms, expected in ((0, 0), (1, 1)):
        drive = fed(conversion("r1", 3, reverses="o1"), click("c1", occurred_at_ms=NOW_MS + 7 * DAY_MS + late_ms))
        assert len(drive.dead_letters()) == expected
        drive.feed([conversion("o1", 10, ad_id="ad1", occurred_at_ms=NOW_MS + DAY_MS)])
        revenue = {row["ad_id"]: row["revenue_micros"] for row in ad_rows(drive.shard)}
        assert revenue["ad1"] == (7 if expected == 0 else 10)


def test_the_id_of_an_orphan_is_free_again() -> None:
    drive = fed(conversion("r1", 3, reverses="o1", event_id="same"))
    drive.tick(NOW_MS, end=True)
    drive.feed([conversion("r1", 3, reverses="o1", event_id="same")])
    assert int(drive.shard.row["duplicates"]) == 0
