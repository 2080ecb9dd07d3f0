"""From evidence to a decision and a command: who is protected, what is asked, what holds it."""

from __future__ import annotations

from typing import Any

from connectors.outcome_event import outcome_line
from engine.config import AccountConfig, EngineConfig
from engine.decision import pack, unpack
from engine.hashing import hash_text
from engine.shard import POLICIES
from engine.step import step
from tests.engine.drive import Drive, lines_of
from tests.engine.events_made import DAY_MS, NOW_MS, catalog, click, conversion, line, spend

CONFIG = EngineConfig(defaults=AccountConfig(policy="thresholds"))


def fed(*lines: bytes, config: EngineConfig = CONFIG) -> Drive:
    drive = Drive(config, NOW_MS + 100 * DAY_MS)
    drive.feed(list(lines))
    return drive


def records(drive: Drive) -> list[dict[str, Any]]:
    blocks = [block for output in drive.outputs for block in output.decisions]
    return [record for _, rows, names in blocks for record in unpack(pack(rows, names, POLICIES, "h"), 1)]


def commands(drive: Drive) -> list[Any]:
    return [command for output in drive.outputs for _, command in output.commands]


def loser(spent: int = 201_000_000, **fields: Any) -> list[bytes]:
    return [
        catalog("ad1", launched_ms=NOW_MS - 3 * DAY_MS, **fields),
        spend("ad1", spent),
        conversion("o0", 1_000_000, ad_id="other"),
    ]


def test_a_loser_is_proposed_for_a_kill_and_a_pause_is_commanded() -> None:
    drive = fed(*loser())
    drive.tick(NOW_MS)
    found = [record for record in records(drive) if record["ad_id"] == "ad1"]
    assert [(record["verdict"], record["reason"], record["held"]) for record in found] == [
        ("kill-proposed", "roas_below_kill", None)
    ]
    [command] = commands(drive)
    assert (command.action.value, command.budget_entity, command.value_micros) == ("pause", "ad_set:s-ad1", None)
    assert command.decision_id == found[0]["decision_id"]


def test_nobody_is_killed_inside_the_zone() -> None:
    young = fed(*[catalog("ad1", launched_ms=NOW_MS - 2 * DAY_MS + 1), spend("ad1", 900_000_000)])
    young.tick(NOW_MS)
    assert [(record["verdict"], record["reason"]) for record in records(young)] == [("hold", "ignorance_zone")]
    young.tick(NOW_MS + 1)
    assert records(young)[-1]["verdict"] == "kill-proposed"
    assert commands(young) == []  # conversions were never heard of in this account: unknown is not zero
    assert records(young)[-1]["held"] == "stale_conversions"


def test_scale_asks_for_a_step_and_stays_within_velocity() -> None:
    drive = fed(
        catalog("ad1", launched_ms=NOW_MS - 3 * DAY_MS),
        spend("ad1", 150_000_000),
        conversion("o1", 600_000_000, ad_id="ad1"),
    )
    drive.tick(NOW_MS)
    [command] = commands(drive)
    assert command.expected_micros == 100_000_000
    assert 103_000_000 <= command.value_micros <= 120_000_000


def test_a_hold_is_recorded_once_and_again_when_its_reason_changes() -> None:
    drive = fed(catalog("ad1", launched_ms=NOW_MS), spend("ad1", 150_000_000))
    for hour in range(5):
        drive.tick(NOW_MS + hour * 3_600_000)
    assert [record["reason"] for record in records(drive)] == ["ignorance_zone"]
    drive.feed([spend("ad1", 150_000_000), catalog("ad1", launched_ms=NOW_MS, occurred_at_ms=NOW_MS + 1, holdout=True)])
    drive.tick(NOW_MS + 6 * 3_600_000)
    assert [record["reason"] for record in records(drive)] == ["ignorance_zone", "holdout"]


def test_without_a_catalog_nothing_can_be_moved_and_the_record_says_so() -> None:
    drive = fed(
        click("c1", occurred_at_ms=NOW_MS - 3 * DAY_MS), spend("ad1", 201_000_000), conversion("o1", 1, ad_id="x")
    )
    drive.tick(NOW_MS)
    found = next(record for record in records(drive) if record["ad_id"] == "ad1")
    assert (found["verdict"], found["held"], commands(drive)) == ("kill-proposed", "unknown_entity", [])


def test_siblings_that_disagree_share_one_budget() -> None:
    shared = {"budget_entity": "campaign:c1"}
    drive = fed(*loser(**shared), catalog("ad2", launched_ms=NOW_MS, **shared), spend("ad2", 5_000_000))
    drive.tick(NOW_MS)
    held = {record["ad_id"]: record["held"] for record in records(drive)}
    assert held["ad1"] == "shared_entity"
    assert commands(drive) == []


def test_numbers_run_per_account_and_ids_are_unique() -> None:
    lines = [spend(f"ad{i}", 5, account=account) for i in range(5) for account in ("a", "b")]
    drive = fed(*lines)
    drive.tick(NOW_MS)
    found = records(drive)
    for account in ("a", "b"):
        assert [record["number"] for record in found if record["account"] == account] == [1, 2, 3, 4, 5]
    assert len({record["decision_id"] for record in found}) == 10


def test_mode_pipeline_judges_pipeline_value() -> None:
    config = EngineConfig(defaults=AccountConfig(policy="thresholds", mode="pipeline"))
    drive = fed(*loser(), conversion("o1", 10**12, ad_id="ad1"), config=config)
    drive.tick(NOW_MS)
    assert next(r for r in records(drive) if r["ad_id"] == "ad1")["verdict"] == "kill-proposed"


def test_an_accounts_mode_can_be_switched_by_a_control_event() -> None:
    drive = fed(*loser(), conversion("o1", 10**12, ad_id="ad1"))
    drive.tick(NOW_MS)
    assert records(drive)[-2]["verdict"] == "scale" or records(drive)[0]["verdict"] == "scale"
    drive.feed_trusted([line("control", action="set_mode", actor="ann", reason="crm is wired", mode="pipeline")])
    drive.tick(NOW_MS + 1)
    assert records(drive)[-1]["verdict"] == "kill-proposed"


def told(drive: Drive, at_ms: int, command: Any, result: str = "confirmed") -> None:
    """The outcome of a command, as the executor tells it."""
    outcome = outcome_line(command, result, command.value_micros, at_ms)
    drive.offset += 1
    drive.outputs.append(step(drive.shard, [lines_of([outcome], drive.offset, trusted=True)]))


def winner() -> Drive:
    return fed(
        catalog("ad1", launched_ms=NOW_MS - 3 * DAY_MS),
        spend("ad1", 150_000_000),
        conversion("o1", 600_000_000, ad_id="ad1"),
    )


def test_a_standing_wish_is_sent_the_moment_the_window_of_the_last_change_has_closed() -> None:
    drive = winner()
    window = 6 * 3_600_000
    drive.tick(NOW_MS)
    landed = commands(drive)[0].not_before_ms + 500
    told(drive, landed, commands(drive)[0])
    drive.tick(NOW_MS + window)
    [_, second] = commands(drive)
    assert second.created_at_ms == NOW_MS + window
    assert second.not_before_ms == landed + window + 1
    assert second.not_before_ms < second.expires_at_ms
    assert second.value_micros <= second.expected_micros * 12 // 10


def test_a_change_that_came_late_in_its_window_bars_the_next_one() -> None:
    drive = winner()
    window = 6 * 3_600_000
    drive.tick(NOW_MS)
    told(drive, NOW_MS + 15 * 60_000, commands(drive)[0])
    drive.tick(NOW_MS + window)
    assert len(commands(drive)) == 1
    assert records(drive)[-1]["held"] == "cooldown"
    drive.tick(NOW_MS + 2 * window)
    assert len(commands(drive)) == 2


def test_a_confirmed_pause_is_known_without_a_word_of_the_catalog() -> None:
    drive = fed(*loser())
    drive.tick(NOW_MS)
    told(drive, NOW_MS + 10_000, commands(drive)[0])
    for hour in range(1, 14):
        drive.tick(NOW_MS + hour * 3_600_000)
    assert len(commands(drive)) == 1
    found = [record for record in records(drive) if record["ad_id"] == "ad1"]
    assert [record["reason"] for record in found] == ["roas_below_kill", "paused"]


def test_a_refused_pause_is_asked_for_again_one_evaluation_later() -> None:
    drive = fed(*loser())
    drive.tick(NOW_MS)
    told(drive, NOW_MS + 10_000, commands(drive)[0], "refused")
    for hour in range(1, 7):
        drive.tick(NOW_MS + hour * 3_600_000)
    assert [command.created_at_ms for command in commands(drive)] == [NOW_MS, NOW_MS + 6 * 3_600_000]


def test_an_older_catalog_event_does_not_undo_a_confirmed_budget() -> None:
    drive = winner()
    drive.tick(NOW_MS)
    [command] = commands(drive)
    told(drive, NOW_MS + 10_000, command)
    drive.feed([catalog("ad1", launched_ms=NOW_MS - 3 * DAY_MS, occurred_at_ms=NOW_MS + 5_000)])
    assert drive.shard.tables["entities"].rows[0]["budget_micros"] == command.value_micros


def test_sources_are_told_apart_whatever_the_size_of_their_hash() -> None:
    """A number from a kernel comes back as Python's int, whose size must not decide how the next kernel takes it."""
    sources = [f"source-{number}" for number in range(12)]
    hashes = [hash_text(source) >> 63 for source in sources]
    assert {0, 1} == set(hashes)
    small_first = sorted(sources, key=lambda source: hash_text(source) >> 63)
    drive = fed(*[catalog(f"ad{n}", source=source) for n, source in enumerate(small_first)])
    assert drive.shard.tables["sources"].used == len(sources)
