"""From a click to what it leads to: an order and perhaps its refund, or a deal on its way through the CRM.

Rules of this file: every event a click will ever cause is made when the click happens; a deal's later stages carry the
contact only, so that its ad must be remembered; an untracked conversion carries no click key at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from connectors.worlds import delays
from connectors.worlds.chance import Marks, Normal, Uniform, Wait
from connectors.worlds.conditions import Conditions
from connectors.worlds.courier import Courier, Event
from connectors.worlds.traits import Traits

MICROS = 1_000_000
_NAMED_BY_CLICK_ID = 0.7  # share of tracked conversions that name the click_id; the rest the network's key only
_KNOWN_BUYER = 0.5  # share of orders whose buyer left an address


def click_key(ad: int, token: str) -> tuple[str, str]:
    """The network's own click key of a click: its field and its value; ads alternate between two networks."""
    return ("gclid", f"Cj0K{token}") if ad % 2 == 0 else ("fbclid", f"IwAR{token}")


@dataclass(slots=True)
class Funnel:
    """What the clicks of one account lead to.

    Attributes
    ----------
    conversions : int64[n], orders or leads that the clicks so far have led, or will lead, to.
    revenue_micros : int64[n], revenue of those, refunds and cancellations taken off.
    """

    account: str
    mode: Literal["direct", "pipeline"]
    conditions: Conditions
    traits: Traits
    courier: Courier
    conversions: NDArray[np.int64] = field(init=False)
    revenue_micros: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        """Start with nothing sold."""
        self.conversions = np.zeros(self.conditions.ads, np.int64)
        self.revenue_micros = np.zeros(self.conditions.ads, np.int64)

    def clicked(self, ad: int, marks: Marks, at_ms: int, p_converts: float) -> None:
        """One click of ad number ``ad`` happens; post it and all that follows from it.

        Parameters
        ----------
        marks : the click's own chance. at_ms : when. p_converts : probability that it converts, as things stand.
        """
        click = self._event("click", f"click-{marks.token}", "tracker", at_ms)
        click["click_id"] = f"c-{marks.token}"
        click["ad_id"] = f"{self.account}-ad-{ad + 1:03d}"
        name, value = click_key(ad, marks.token)
        click[name] = value
        if marks.uniforms[Uniform.CLICK_LOST] >= self.conditions.click_loss:
            self.courier.post(click)
        if marks.uniforms[Uniform.CONVERTS] < p_converts:
            self.conversions[ad] += 1
            if self.mode == "direct":
                self._order(ad, marks, at_ms)
            else:
                self._deal(ad, marks, at_ms)

    def _value_micros(self, ad: int, marks: Marks) -> int:
        traits = self.traits
        value = math.exp(traits.value_log[ad] + traits.value_sigma * marks.normals[Normal.VALUE])
        return max(10_000, round(value * 100) * 10_000)

    def _evidence(self, ad: int, marks: Marks) -> Event:
        """The click keys a conversion carries: one of them, or none where tracking is lost."""
        if marks.uniforms[Uniform.TRACKED] >= self.traits.tracked[ad]:
            return {}
        if marks.uniforms[Uniform.KEY_KIND] < _NAMED_BY_CLICK_ID:
            return {"click_id": f"c-{marks.token}"}
        return dict((click_key(ad, marks.token),))

    def _order(self, ad: int, marks: Marks, at_ms: int) -> None:
        value = self._value_micros(ad, marks)
        moment = at_ms + delays.order_ms(marks.uniforms[Uniform.DELAY_KIND], marks.waits[Wait.DELAY])
        order = self._event("conversion", f"order-{marks.token}", "shop", moment)
        order |= {
            "conversion_id": f"o-{marks.token}",
            "type": "purchase",
            "value_micros": value,
        }
        order |= self._evidence(ad, marks)
        if marks.uniforms[Uniform.HAS_CONTACT] < _KNOWN_BUYER:
            order["contact"] = f"p-{marks.token}"
        self.courier.post(order)
        if marks.uniforms[Uniform.REFUNDED] >= self.traits.refund:
            self.revenue_micros[ad] += value
            return
        undo = self._event(
            "conversion",
            f"refund-{marks.token}",
            "shop",
            moment + delays.refund_ms(marks.waits[Wait.REFUND]),
        )
        undo |= {
            "conversion_id": f"r-{marks.token}",
            "type": "refund",
            "value_micros": value,
        }
        undo["reverses"] = f"o-{marks.token}"
        self.courier.post(undo)

    def _deal(self, ad: int, marks: Marks, at_ms: int) -> None:
        uniforms, normals, traits = marks.uniforms, marks.normals, self.traits
        moment = at_ms + delays.lead_ms(uniforms[Uniform.DELAY_KIND], marks.waits[Wait.DELAY])
        self._stage(marks, "lead", moment, self._evidence(ad, marks))
        if uniforms[Uniform.APPOINTED] >= traits.p_appointment[ad]:
            return  # the lead goes cold: nobody tells the CRM
        moment += delays.appointment_ms(normals[Normal.APPOINTMENT])
        self._stage(marks, "appointment_scheduled", moment, {})
        moment += delays.show_ms(normals[Normal.SHOW])
        if uniforms[Uniform.SHOWED] >= traits.p_show[ad]:
            self._stage(marks, "closed_lost", moment, {})
            return
        self._stage(marks, "show_up", moment, {})
        moment += delays.close_ms(normals[Normal.CLOSE])
        if uniforms[Uniform.WON] >= traits.p_won[ad]:
            self._stage(marks, "closed_lost", moment, {})
            return
        value = self._value_micros(ad, marks)
        self._stage(marks, "closed_won", moment, {"value_micros": value})
        if uniforms[Uniform.REFUNDED] >= traits.refund:
            self.revenue_micros[ad] += value
            return
        self._stage(
            marks,
            "closed_lost",
            moment + delays.refund_ms(marks.waits[Wait.REFUND]),
            {},
        )

    def _stage(self, marks: Marks, stage: str, at_ms: int, more: Event) -> None:
        event = self._event("crm_stage", f"{stage}-{marks.token}", "crm", at_ms)
        event |= {
            "deal_id": f"d-{marks.token}",
            "stage": stage,
            "contact": f"p-{marks.token}",
        }
        self.courier.post(event | more)

    def _event(self, kind: str, event_id: str, source: str, at_ms: int) -> dict[str, Any]:
        event: dict[str, Any] = {
            "kind": kind,
            "event_id": event_id,
            "tenant": self.conditions.tenant,
            "account": self.account,
            "source": source,
            "occurred_at_ms": at_ms,
        }
        if kind != "click":
            event["currency"] = self.conditions.currency
        return event
