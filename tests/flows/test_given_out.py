"""What a step gave out, as it is stored: the readable summaries of ads agree with the decisions."""

from __future__ import annotations

import orjson

from engine.config import EngineConfig
from engine.decision import unpack
from flows.given_out import outbox_entries, summaries_of
from tests.engine.drive import Drive
from tests.engine.events_made import DAY_MS, NOW_MS, catalog, spend


def test_the_summary_of_an_ad_is_its_newest_decision() -> None:
    drive = Drive(EngineConfig(), NOW_MS + 100 * DAY_MS)
    drive.feed([catalog("ad1", launched_ms=NOW_MS), spend("ad1", 5_000_000), spend("ad2", 5_000_000)])
    drive.tick(NOW_MS)
    drive.feed([catalog("ad1", launched_ms=NOW_MS, occurred_at_ms=NOW_MS + 1, holdout=True)])
    drive.tick(NOW_MS + 1)
    summaries: dict[bytes, bytes] = {}
    records = []
    for output in drive.outputs:
        summaries |= summaries_of(output)
        records += [record for _, fields in outbox_entries(output, "h") for record in unpack(fields[b"d"], 1)]
    newest = {f"{r['tenant']}/{r['account']}/{r['ad_id']}".encode(): r for r in records}
    assert sorted(newest) == sorted(summaries) == [b"t/a/ad1", b"t/a/ad2"]
    for ad, text in summaries.items():
        summary = orjson.loads(text)
        assert summary == {name: newest[ad][name] for name in summary}
    assert orjson.loads(summaries[b"t/a/ad1"])["reason"] == "holdout"
