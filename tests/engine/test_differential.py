"""The engine against the plain reference, on lines made to make them disagree; and against itself, cut otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.adversary import CLOCK_MS, adversarial, config
from engine.events import MS_PER_DAY
from headgate.ad_rows import ad_rows
from headgate.attribution_rows import attribution_rows
from tests.engine.drive import Drive
from tests.reference.model import Reference
from tests.reference.wire import Event, Refused, is_blank, read, without_end

COUNTS = ("accepted", "duplicates", "conflicting_duplicates")
FIELDS = (
    "tenant", "account", "ad_id", "clicks", "platform_clicks", "impressions", "conversions", "revenue_micros",
    "pipeline_micros", "spend_micros",
)  # fmt: skip


def ads_of(rows: Any) -> list[tuple[Any, ...]]:
    """The counting fields of ad rows, in an order of their own."""
    return sorted(tuple(row[name] for name in FIELDS) for row in rows)


def credits_of(rows: Any) -> list[str]:
    """What attribution rows say, in an order of their own."""
    names = ("tenant", "account", "conversion_id", "deal_id", "ad_id", "layer", "click_id")
    return sorted(str([row.get(name) for name in names]) for row in rows)


def driven(lines: list[bytes], cuts: list[int], *, strict: bool) -> Drive:
    """An engine that was fed the lines in runs of these lengths, over and over, and then closed."""
    drive = Drive(config(strict=strict), CLOCK_MS)
    at, turn = 0, 0
    while at < len(lines):
        size = cuts[turn % len(cuts)]
        drive.feed(lines[at : at + size])
        at, turn = at + size, turn + 1
    drive.tick(0, end=True)
    return drive


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.sampled_from([5, 20, 80, 250]),
    cuts=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    strict=st.booleans(),
)
def test_engine_equals_reference(seed: int, n: int, cuts: list[int], strict: bool) -> None:
    lines = list(adversarial(seed, n))
    reference = Reference(config(strict=strict), CLOCK_MS)
    for line in lines:
        reference.feed(line)
    reference.end()
    drive = driven(lines, cuts, strict=strict)
    assert ads_of(ad_rows(drive.shard)) == ads_of(reference.ads())
    assert credits_of(attribution_rows(drive.shard)) == credits_of(reference.attributions())
    assert sorted(drive.dead_letters()) == sorted(reference.dead_letters())
    row = drive.shard.row
    assert {name: int(row[name]) for name in COUNTS} == {name: reference.counts[name] for name in COUNTS}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(1, 90), min_size=1, max_size=3))
def test_batch_cuts_change_no_byte(seed: int, cuts: list[int]) -> None:
    lines = list(adversarial(seed, 200))
    one, other = driven(lines, [1], strict=False), driven(lines, cuts, strict=False)
    assert one.shard.digest() == other.shard.digest()
    assert one.decisions() == other.decisions()


def valid(line: bytes) -> Event | None:
    """The line's event, None if the wire format alone refuses it."""
    try:
        return None if is_blank(line) else read(without_end(line))
    except Refused:
        return None


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), data=st.data())
def test_any_order_and_any_duplication_give_the_same_numbers(seed: int, data: st.DataObject) -> None:
    lines = [line for line in adversarial(seed, 60) if b'"reverses"' not in line]
    accepted = _within_a_week(lines)
    if len(accepted) < 2:
        return
    first = driven(accepted, [100], strict=False)
    again = data.draw(st.lists(st.sampled_from(accepted), max_size=20))
    shuffled = data.draw(st.permutations(accepted + again))
    second = driven(list(shuffled), [7], strict=False)
    assert ads_of(ad_rows(first.shard)) == ads_of(ad_rows(second.shard))
    assert credits_of(attribution_rows(first.shard)) == credits_of(attribution_rows(second.shard))


def _within_a_week(lines: list[bytes]) -> list[bytes]:
    """Valid lines of distinct ids whose times lie within the lateness, so that every order accepts all of them."""
    found: dict[tuple[Any, ...], tuple[int, bytes]] = {}
    for line in lines:
        event = valid(line)
        if event is None:
            continue
        key = (*event.account, event.fields["source"], event.fields["event_id"])
        found.setdefault(key, (event.at, line))
    if not found:
        return []
    start = min(at for at, _ in found.values())
    return [line for at, line in found.values() if at <= start + 7 * MS_PER_DAY]


@pytest.mark.parametrize("count", [0, 1])
def test_an_empty_feed_and_one_blank_line(count: int) -> None:
    drive = driven([b"  "] * count, [1], strict=False)
    assert list(ad_rows(drive.shard)) == []
    assert drive.dead_letters() == []
