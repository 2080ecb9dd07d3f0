"""The shipped world: a market of ads with delays, funnels, wear, seasons, lost tracking and late, doubled events.

Rules of this file: the World protocol and nothing else; the same seed and the same commands at the same moments give
the same events, however ``advance`` is cut. A command given for a moment that has already been shown counts from the
moment shown last.
Theory of operation: accounts live hour by hour (``account``), every event goes through the courier, which decides when
it is seen. The truth is reported as an expectation: profit is counted when money is spent, at the true conversion rate
and the mean value of a conversion, so that two policies differ by their choices and not by luck; what the drawn clicks
really bring (also later than now) is ``realised_profit_micros``.
"""

from __future__ import annotations

from typing import Any, Final

from connectors.worlds.account import AdAccount
from connectors.worlds.chance import Purpose, stream
from connectors.worlds.conditions import Conditions
from connectors.worlds.courier import Courier
from connectors.worlds.shadow import Hand

START_MS: Final = 1_767_571_200_000  # Monday, 2026-01-05 00:00 UTC
# Worth of a stage as a share of a won deal, at the market's usual rates (75 % keep an appointment, 40 % of those buy).
_STAGE_SHARES: Final = {
    "lead": 0.0,
    "appointment_scheduled": 0.3,
    "show_up": 0.4,
    "closed_won": 1.0,
    "closed_lost": 0.0,
}


class Market:
    """A simulated market.

    Parameters
    ----------
    seed : int; the same seed is the same market.
    params : see `Conditions`.

    Raises
    ------
    ValueError, TypeError for a parameter that does not exist or cannot be.

    Examples
    --------
    >>> market = Market(1, ads=2, launches=0)
    >>> [event["kind"] for event in market.advance(market.start_ms + 3_600_000)][:2]
    ['catalog', 'catalog']
    """

    def __init__(self, seed: int, **params: Any) -> None:
        self.conditions = Conditions(**params)
        self.start_ms = START_MS
        self._seed = seed
        self._shown_ms = START_MS
        self._courier = Courier(seed, self.conditions.duplicates, self.conditions.late_share)
        self._accounts = [
            AdAccount(seed, number, name, mode, self.conditions, self._courier, START_MS)
            for number, (name, mode) in enumerate(self.conditions.accounts)
        ]
        self._answers: dict[str, dict[str, Any]] = {}
        self._counts = {
            "confirmed": 0,
            "refused": 0,
            "unknown": 0,
            "repeated": 0,
            "unexpected": 0,
        }

    def settings(self) -> dict[str, Any]:
        """The configuration that fits this market, in the words of ``headgate.toml``.

        The stages are worth what an owner who knows his usual rates would say: right on the whole, wrong for each ad.
        """
        accounts = {
            account.name: {
                "mode": account.mode,
                "stages": "market" if account.mode == "pipeline" else "none",
                "currency": self.conditions.currency,
                "break_even_roas": f"{1.0 / self.conditions.margin:.4f}",
            }
            for account in self._accounts
        }
        stages: dict[str, dict[str, Any]] = {
            stage: {"value": f"{share * self.conditions.deal_value:.2f}"} for stage, share in _STAGE_SHARES.items()
        }
        stages["closed_won"]["uses_value"] = True
        return {"tenants": {self.conditions.tenant: {"accounts": accounts}}, "stages": {"market": stages}}

    def advance(self, until_ms: int) -> list[dict[str, Any]]:
        """Let time pass; the wire events that were seen since the last call, up to and including ``until_ms``."""
        for account in self._accounts:
            account.live_until(until_ms)
        self._shown_ms = max(self._shown_ms, until_ms)
        return self._courier.collect(until_ms)

    def apply(self, command: dict[str, Any], now_ms: int) -> dict[str, Any]:
        """Carry out one command of the executor at ``now_ms``; the same ``command_id`` again changes nothing.

        Parameters
        ----------
        command : command_id, budget_entity, action, value_micros, expected_micros.

        Returns
        -------
        dict with ``result`` ("confirmed", "refused", "unknown") and ``observed_micros``, the budget the platform holds
        afterwards as far as the caller can know: after "unknown" it is the budget before.
        """
        command_id = command["command_id"]
        if command_id in self._answers:
            self._counts["repeated"] += 1
            return self._answers[command_id]
        answer = self._answer(command, max(now_ms, self._shown_ms))
        self._counts[answer["result"]] += 1
        self._answers[command_id] = answer
        return answer

    def report(self) -> dict[str, Any]:
        """The truth so far: expected profit, that of the oracle and other hands, and a row per ad."""
        truths = [account.truth() for account in self._accounts]
        sums = [
            "profit_micros",
            *(f"{hand.value}_profit_micros" for hand in Hand),
            "realised_profit_micros",
        ]
        answer: dict[str, Any] = {name: sum(truth[name] for truth in truths) for name in [*sums, "spend_micros"]}
        answer["commands"] = dict(self._counts)
        answer["ads"] = {ad_id: row for truth in truths for ad_id, row in truth["ads"].items()}
        return answer

    def _answer(self, command: dict[str, Any], at_ms: int) -> dict[str, Any]:
        account = next(
            (each for each in self._accounts if command["budget_entity"] in each.ads),
            None,
        )
        if account is None:
            return {"result": "refused", "observed_micros": 0}
        account.live_until(at_ms)
        ad = account.ads[command["budget_entity"]]
        before = account.budget_micros(ad)
        action, value = command["action"], command.get("value_micros")
        if command.get("expected_micros") not in (None, before):
            self._counts["unexpected"] += 1
        luck, landed = stream(self._seed, 0, Purpose.ANSWERS, len(self._answers)).random(2).tolist()
        if account.refuses(ad, action, value) or luck < self.conditions.refused_share:
            return {"result": "refused", "observed_micros": before}
        if luck < self.conditions.refused_share + self.conditions.unknown_share:
            if landed < 0.5:
                account.change(ad, action, value)
            return {"result": "unknown", "observed_micros": before}
        account.change(ad, action, value)
        return {"result": "confirmed", "observed_micros": account.budget_micros(ad)}
