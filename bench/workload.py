"""Events as a busy tracker, a CRM and spend pulls would send them, from a seed: the workload of every benchmark.

Rules of this file: equal arguments give equal bytes; lines come in arrival order, at most 300 s after they happened;
nothing in it is refused, so every engine must reach the same exact answer (about 90 % clicks, 6 % spend snapshots,
3 % conversions, 1 % CRM stages, 2 % of all lines twice). Lines meant to hurt are in `bench.adversary`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.config import AccountConfig, EngineConfig, StageValue
from engine.events import MS_PER_DAY, MS_PER_HOUR

START_MS: Final = 1_772_409_600_000  # 2026-03-02 00:00 UTC
DELAY_MS: Final = 300_000
CLOCK_MS: Final = START_MS + 90 * MS_PER_DAY
"""A clock that finds nothing in the future."""

SERVICE: Final = {
    "lead": StageValue(value_micros=0),
    "appointment_scheduled": StageValue(value_micros=2_250_000_000),
    "show_up": StageValue(value_micros=9_000_000_000),
    "closed_won": StageValue(value_micros=15_000_000_000, uses_value=True, aliases=("closedwon",)),
    "closed_lost": StageValue(value_micros=0, aliases=("closedlost",)),
}

Ints = NDArray[np.int64]
Texts = list[bytes]

_HEAD: Final = b'{"kind":"%s","event_id":"%08x","tenant":"%s","account":"%s","source":"%s","occurred_at_ms":%d'
_STAGES: Final = (b"lead", b"appointment_scheduled", b"show_up", b"closed_won", b"closed_lost", b"closedwon")


def account_name(number: int) -> tuple[str, str]:
    """Tenant and account of a number: two tenants, turn and turn about in pairs."""
    return ("north", "south")[number // 2 % 2], f"act_{number:03d}"


def is_pipeline(number: int) -> bool:
    """Whether the account sells by a CRM funnel: every second one."""
    return number % 2 == 1


def config(accounts: int) -> EngineConfig:
    """The configuration that serves the workload."""
    pipeline = AccountConfig(mode="pipeline", stages=SERVICE)
    listed = {account_name(i): pipeline if is_pipeline(i) else AccountConfig() for i in range(accounts)}
    return EngineConfig(accounts=listed)


def config_toml(accounts: int) -> str:
    """The same as `config`, as a ``headgate.toml``."""
    parts = []
    for number in range(accounts):
        tenant, account = account_name(number)
        parts.append(f'[tenants.{tenant}.accounts."{account}"]\n')
        parts.append('mode = "pipeline"\nstages = "service"\n' if is_pipeline(number) else 'mode = "direct"\n')
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class _Run:
    """What the generators of one workload share."""

    rng: np.random.Generator
    ads: int
    accounts: int
    span_ms: int
    pseudonyms: bool

    def heads(self, kind: bytes, source: Texts, first: int, account: Ints, at: Ints) -> Texts:
        """The fields every event has; ``first`` is the number of the first event, its id is that number scrambled."""
        names = [tuple(part.encode() for part in account_name(i)) for i in range(self.accounts)]
        ids = scrambled(np.arange(first, first + at.size)).tolist()
        rows = zip(ids, account.tolist(), source, at.tolist(), strict=True)
        return [_HEAD % (kind, i, *names[a], s, t) for i, a, s, t in rows]

    def after(self, at: Ints, mean_ms: float) -> Ints:
        """A time after ``at`` by an exponential lag, drawn in before the end of the span."""
        left = START_MS + self.span_ms - at
        return at + (self.rng.exponential(mean_ms, at.size) % left).astype(np.int64)


@dataclass(frozen=True, slots=True)
class _Clicks:
    """What later events refer to: one row per click."""

    at: Ints
    ad: Ints
    account: Ints
    keys: Texts  # the fragment with its other key, empty without


def generate(
    events: int, ads: int, accounts: int, seed: int, *, days: float = 4.0, pseudonyms: bool = False
) -> Iterator[bytes]:
    """Yield the workload's lines, without line ends, in arrival order.

    Parameters
    ----------
    events : int >= 100, how many lines in all.
    ads : int >= accounts, how many ads; ad i belongs to account i modulo ``accounts``.
    accounts : int >= 2, how many accounts; every second one is a pipeline account.
    seed : int.
    days : float, how much event time the lines span.
    pseudonyms : bool, whether clicks and conversions carry ``ip`` and ``ua`` (evidence of layer 3).
    """
    run = _Run(np.random.default_rng(seed), ads, accounts, int(days * MS_PER_DAY), pseudonyms)
    repeats = events // 50
    unique = events - repeats
    n_conversions, n_stages, n_spend = unique * 3 // 100, unique // 100, unique * 6 // 100
    n_clicks = unique - n_conversions - n_stages - n_spend
    clicks, click_at, click_lines = _clicks(run, n_clicks)
    made = [(click_at, click_lines)]
    made.append(_conversions(run, n_conversions, clicks, n_clicks))
    made.append(_stages(run, n_stages, clicks, n_clicks + n_conversions))
    made.append(_spend(run, n_spend, n_clicks + n_conversions + n_stages))
    lines = [line for _, part in made for line in part]
    at = np.concatenate([part for part, _ in made])
    delay = run.rng.integers(0, DELAY_MS + 1, unique)
    again = run.rng.choice(unique, repeats, replace=False)
    arrival = np.concatenate([at + delay, at[again] + run.rng.integers(delay[again], DELAY_MS + 1)])
    number = np.concatenate([np.arange(unique), again])
    for i in number[np.argsort(arrival, kind="stable")].tolist():
        yield lines[i]


def scrambled(numbers: Ints) -> Ints:
    """Numbers below 2**32 one to one onto others, so that ids do not come in order."""
    return (numbers * 2_654_435_761 + 12_345) % (1 << 32)


def _picked(choices: Ints, texts: list[Texts]) -> Texts:
    return [texts[choice][i] for i, choice in enumerate(choices.tolist())]


def _formatted(pattern: bytes, *columns: Any) -> Texts:
    return [pattern % row for row in zip(*(column.tolist() for column in columns), strict=True)]


def _joined(*parts: Texts) -> Texts:
    return [b"".join(row) + b"}" for row in zip(*parts, strict=True)]


def _pseudonyms(run: _Run, who: Ints) -> Texts:
    if not run.pseudonyms:
        return [b""] * who.size
    return _formatted(b',"ip":"i%08x","ua":"u%04x"', scrambled(who), who % 997)


def _clicks(run: _Run, size: int) -> tuple[_Clicks, Ints, Texts]:
    """Clicks; the last of a hundred events is a second word on an earlier click, from another source."""
    rng, second = run.rng, size // 100
    first = size - second
    weights = 1.0 / np.arange(1, run.ads + 1) ** 0.8
    edges = np.cumsum(weights)
    ad = rng.permutation(run.ads)[np.searchsorted(edges, rng.random(first) * edges[-1])]
    at = START_MS + np.sort(rng.integers(0, run.span_ms, first))
    number = scrambled(np.arange(first))
    none = [b""] * first
    named = [_formatted(b',"fbclid":"IwAR%08x"', number), _formatted(b',"gclid":"Cj0K%08x"', number), none]
    keys = _picked(np.searchsorted([0.4, 0.7], rng.random(first)), named)
    told = rng.integers(0, first, second)
    moved = np.where(rng.random(second) < 0.1, run.accounts, 0)  # to another ad of the account
    again_ad = np.where(ad[told] + moved < run.ads, ad[told] + moved, ad[told])
    again_at = np.maximum(START_MS, at[told] + rng.integers(-2_000, 2_001, second))
    all_ad, all_at = np.concatenate([ad, again_ad]), np.concatenate([at, again_at])
    ids = np.concatenate([number, number[told]])
    lines = _joined(
        run.heads(b"click", [b"site"] * first + [b"server"] * second, 0, all_ad % run.accounts, all_at),
        _formatted(b',"click_id":"k%08x","ad_id":"ad_%06d"', ids, all_ad),
        keys + _formatted(b',"msclkid":"m%08x"', number[told]),
        _pseudonyms(run, ids % max(1, size // 3)),
    )
    return _Clicks(at, ad, ad % run.accounts, keys), all_at, lines


def _contacts(run: _Run, size: int) -> Texts:
    return _formatted(b',"contact":"p%06x"', run.rng.integers(0, max(2, size // run.accounts // 3), size))


def _conversions(run: _Run, size: int, clicks: _Clicks, number: int) -> tuple[Ints, Texts]:
    """Conversions, some told twice, and reversals of some of them."""
    rng, undone, second = run.rng, size // 25, size // 100
    first = size - undone - second
    click = rng.integers(0, clicks.at.size, first)
    at = run.after(clicks.at[click], 12 * MS_PER_HOUR)
    contact, nothing = _contacts(run, first), [b""] * first
    by_id = _formatted(b',"click_id":"k%08x"', scrambled(click))
    by_key = [clicks.keys[i] or by_id[n] for n, i in enumerate(click.tolist())]
    by_ad = _formatted(b',"ad_id":"ad_%06d"', clicks.ad[click])
    lost = _formatted(b',"click_id":"lost%08x"', scrambled(click))
    unknown = [word + (clicks.keys[i] if i % 4 == 0 else b"") for word, i in zip(lost, click.tolist(), strict=True)]
    how = np.searchsorted([0.62, 0.76, 0.84, 0.92], rng.random(first))
    evidence = _picked(how, [by_id, by_key, by_ad, nothing, unknown])
    with_contact = _picked(((how == 3) | (rng.random(first) < 0.6)).astype(int), [nothing, contact])
    value = rng.integers(5, 400, first) * 1_000_000 + rng.integers(0, 100, first) * 10_000
    details = _joined_open(evidence, with_contact, _pseudonyms(run, click % max(1, clicks.at.size // 3)))
    told = rng.integers(0, first, second)
    back = rng.choice(first, undone, replace=False)
    back_value = np.where(rng.random(undone) < 0.5, value[back], value[back] // 3)
    of = np.concatenate([np.arange(first), told, back])
    ids = np.concatenate([np.arange(first), told, np.arange(first, first + undone)])
    all_at = np.concatenate([at, at[told] + rng.integers(-500, 501, second), run.after(at[back], 24 * MS_PER_HOUR)])
    lines = _joined(
        run.heads(
            b"conversion", [b"shop"] * first + [b"crm"] * (size - first), number, clicks.account[click][of], all_at
        ),
        _formatted(
            b',"conversion_id":"v%08x","type":"purchase","value_micros":%d,"currency":"USD"',
            scrambled(ids),
            np.concatenate([value, value[told], back_value]),
        ),
        details + [details[i] for i in told.tolist()] + _formatted(b',"reverses":"v%08x"', scrambled(back)),
    )
    return all_at, lines


def _joined_open(*parts: Texts) -> Texts:
    return [b"".join(row) for row in zip(*parts, strict=True)]


def _stages(run: _Run, size: int, clicks: _Clicks, number: int) -> tuple[Ints, Texts]:
    """Deals of the pipeline accounts on their way up the service ladder, with steps back and losses."""
    rng = run.rng
    deals = max(1, size // 3)
    origin = rng.choice(np.flatnonzero(clicks.account % 2 == 1), deals)
    deal = np.sort(np.concatenate([np.arange(deals), rng.integers(0, deals, size - deals)]))
    rank = np.arange(size) - np.searchsorted(deal, deal)
    click = origin[deal]
    at = np.sort(run.after(clicks.at[click], 30 * MS_PER_HOUR) + (deal << 43)) - (deal << 43)  # in order within a deal
    chance = rng.random(size)
    stage = np.minimum(rank, 3) - ((chance < 0.12) & (rank > 0))
    stage = np.where((chance > 0.9) & (rank > 0), 4, stage)
    stage = np.where((stage == 3) & (chance < 0.4), 5, stage)
    contacts = _contacts(run, deals)
    contact, nothing = [contacts[i] for i in deal.tolist()], [b""] * size
    by_id = _formatted(b',"click_id":"k%08x"', scrambled(click))
    by_key = [clicks.keys[i] or by_id[n] for n, i in enumerate(click.tolist())]
    by_ad = _formatted(b',"ad_id":"ad_%06d"', clicks.ad[click])
    how = np.where(rank == 0, np.searchsorted([0.7, 0.8, 0.85], rng.random(size)), 3 + (rng.random(size) < 0.5))
    won = _formatted(b',"value_micros":%d', rng.integers(2_000, 30_000, size) * 1_000_000)
    lines = _joined(
        run.heads(b"crm_stage", [b"crm"] * size, number, clicks.account[click], at),
        [
            b',"deal_id":"d%08x","stage":"%s","currency":"USD"' % (d, _STAGES[s])
            for d, s in zip(deal, stage, strict=True)
        ],
        _picked(how, [_joined_open(by_id, contact), by_key, by_ad, contact, nothing]),
        _picked(((stage % 2 == 1) & (rng.random(size) < 0.6)).astype(int), [nothing, won]),
    )
    return at, lines


def _spend(run: _Run, size: int, number: int) -> tuple[Ints, Texts]:
    """Hourly snapshots; four of ten restate an hour told before."""
    rng = run.rng
    hours = max(1, run.span_ms // MS_PER_HOUR)
    cells = rng.choice(run.ads * hours, min(run.ads * hours, size * 6 // 10), replace=False)
    cell = np.concatenate([cells, rng.choice(cells, size - cells.size)])
    ad, start = cell // hours, START_MS + cell % hours * MS_PER_HOUR
    known = rng.integers(0, 6 * MS_PER_HOUR, size)
    shown = 200 + cell % 1_800 + known // 60_000
    at = start + MS_PER_HOUR + known
    lines = _joined(
        run.heads(b"spend", [b"platform"] * size, number, ad % run.accounts, at),
        _formatted(
            b',"ad_id":"ad_%06d","period_start_ms":%d,"period_end_ms":%d,"spend_micros":%d,"impressions":%d,"clicks":%d'
            b',"currency":"USD"',
            *(ad, start, start + MS_PER_HOUR, shown * 9_000 + cell % 977, shown, shown // 50),
        ),
    )
    return at, lines
