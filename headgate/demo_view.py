"""The demo's picture: every ad with its verdict and where the money moves, and the last decisions in plain words.

Rules of this file: it draws what it is given, an immutable frame; money in whole currency units, times in days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

MICROS: Final = 1_000_000
_COLOURS: Final = {
    "hold": "white",
    "scale": "green",
    "reduce": "yellow",
    "pause": "red",
    "kill-proposed": "red",
}
_BAR: Final = 8


@dataclass(frozen=True, slots=True)
class AdLine:
    """One ad as shown; money in micros."""

    name: str
    status: str
    verdict: str
    reason: str
    spend_micros: int
    value_micros: int
    budget_micros: int
    budget_before_micros: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture.

    Attributes
    ----------
    day : virtual days since the start. seconds_left : of the demo.
    ads : in a fixed order. news : plain words, oldest first. counts : what was done, for the headline.
    """

    day: float
    seconds_left: float
    ads: Sequence[AdLine]
    news: Sequence[str]
    counts: dict[str, int]


def draw(frame: Frame | None, ad_rows: int = 24) -> RenderableType:
    """The picture of a frame; before the first one, a line that says what is going on."""
    if frame is None:
        words = "starting a log, a state, a ledger, a market and the roles; the very first start compiles for a while"
        return Panel(Text(words), title="headgate demo")
    news = Text("\n".join(frame.news) or "nothing decided yet", overflow="ellipsis", no_wrap=True)
    headline = (
        f"day {frame.day:.1f}   {frame.counts['decisions']} decisions   {frame.counts['commands']} commands   "
        f"ends in {max(0.0, frame.seconds_left):.0f} s"
    )
    return Group(
        Panel(_table(frame.ads[:ad_rows]), title="headgate demo", subtitle=headline),
        Panel(news, title="last decisions"),
    )


def in_words(row: dict[str, Any], start_ms: int) -> str:
    """A decision record as one plain sentence."""
    day = (row["decided_at_ms"] - start_ms) / 86_400_000
    budget, target = row["budget_micros"], row["target_micros"]
    what = ""
    if row["held"]:
        what = f", held ({row['held'].replace('_', ' ')})"
    elif row["verdict"] in ("pause", "kill-proposed"):
        what = ", its budget stops"
    elif budget is not None and target is not None and target != budget:
        what = f" {_money(budget)} to {_money(target)}"
    return f"day {day:4.1f}  {row['ad_id']}: {row['verdict']}{what}: {row['because']}"


def _table(ads: Sequence[AdLine]) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, header_style="bold")
    for name in ("ad", "verdict", "reason", "spend", "ROAS", "budget", "moved", "share"):
        fixed = name != "reason"  # on a narrow terminal the reason gives way
        right = name in ("spend", "ROAS", "budget", "moved")
        table.add_column(name, justify="right" if right else "left", no_wrap=True, ratio=None if fixed else 1)
    most = max((ad.budget_micros for ad in ads if ad.status == "active"), default=1)
    for ad in ads:
        live = ad.status == "active"
        table.add_row(
            ad.name,
            Text(ad.verdict if live else "paused", style=_COLOURS.get(ad.verdict, "dim") if live else "red dim"),
            ad.reason.replace("_", " "),
            _money(ad.spend_micros),
            f"{ad.value_micros / ad.spend_micros:.2f}" if ad.spend_micros else "-",
            _money(ad.budget_micros if live else 0),
            _move(ad) if live else Text(""),
            Text("█" * max(1, round(_BAR * ad.budget_micros / most)) if live else "", style="cyan"),
        )
    return table


def _move(ad: AdLine) -> Text:
    change = ad.budget_micros - ad.budget_before_micros
    if change == 0:
        return Text("")
    return Text(f"+{_money(change)}", style="green") if change > 0 else Text(f"-{_money(-change)}", style="yellow")


def _money(micros: int) -> str:
    return f"{micros / MICROS:,.2f}"
