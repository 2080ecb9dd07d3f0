"""The wire format as JSON Schema: one model a kind, stating the rules that a schema can state.

Rules of this file: for people and for other programs' validators; lines are decoded elsewhere in this package, and the
tests hold both to the same verdicts. What a schema cannot say is in the descriptions: ints are JSON ints (``5.0`` is
refused), ``null`` equals absent, unknown fields are ignored and counted, of duplicate keys the last wins.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.events import COUNT_MAX, MONEY_MAX_MICROS, TIME_MAX_MS, TIME_MIN_MS

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]
Entity = Annotated[
    str,
    Field(
        pattern=r"^(ad_set|campaign|budget|ad):[A-Za-z0-9_.:-]{1,128}$",
        description="the platform object that carries the budget: ad_set:ID, campaign:ID, budget:ID or ad:ID",
    ),
]
Key = Annotated[str, Field(pattern=r"^[!-~]{1,512}$", description="1-512 printable ASCII characters without space")]
Money = Annotated[int, Field(ge=0, le=MONEY_MAX_MICROS, description="millionths of the account's currency, a JSON int")]
Count = Annotated[int, Field(ge=0, le=COUNT_MAX, description="a JSON int")]
Time = Annotated[int, Field(ge=TIME_MIN_MS, le=TIME_MAX_MS, description="UTC milliseconds, a JSON int")]
Currency = Annotated[str, Field(description="ISO 4217; must equal the account's")]


class Line(BaseModel):
    """What every event carries."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    event_id: Annotated[Id, Field(description="unique per tenant, account and source for 7 days: the dedup key")]
    tenant: Id
    account: Id
    source: Id
    occurred_at_ms: Annotated[Time, Field(description="UTC ms; at most 5 minutes ahead, at most 7 days late")]


class Keyed(Line):
    """An event that may name the click it came from."""

    fbclid: Key | None = None
    gclid: Key | None = None
    gbraid: Key | None = None
    wbraid: Key | None = None
    ttclid: Key | None = None
    msclkid: Key | None = None


class Click(Keyed):
    """One click."""

    kind: Literal["click"]
    click_id: Id
    ad_id: Id
    visitor: Key | None = None
    fingerprint: Key | None = None
    ip: Key | None = None
    ua: Key | None = None
    consent: Annotated[bool | None, Field(description="false bars attribution layers 2 and 3")] = None


class Conversion(Keyed):
    """A value event, or the reversal of one."""

    kind: Literal["conversion"]
    conversion_id: Id
    type: str
    value_micros: Money
    currency: Currency
    click_id: Id | None = None
    ad_id: Id | None = None
    visitor: Key | None = None
    fingerprint: Key | None = None
    ip: Key | None = None
    ua: Key | None = None
    contact: Key | None = None
    reverses: Annotated[Id | None, Field(description="the conversion_id that this one undoes, in part or whole")] = None


class CrmStage(Keyed):
    """The deal is now in this stage."""

    kind: Literal["crm_stage"]
    deal_id: Id
    stage: Annotated[Id, Field(description="a stage or an alias of the account's table")]
    currency: Currency
    value_micros: Annotated[Money | None, Field(description="counts in a stage marked uses_value")] = None
    contact: Key | None = None
    click_id: Id | None = None
    ad_id: Id | None = None


class Spend(Line):
    """Totals of an ad in a period as known at occurred_at_ms; the newest snapshot of a period replaces older ones."""

    kind: Literal["spend"]
    ad_id: Id
    period_start_ms: Annotated[Time, Field(description="on the account's grid (spend_granularity), UTC")]
    period_end_ms: Annotated[Time, Field(description="after period_start_ms")]
    spend_micros: Money
    impressions: Count
    clicks: Count
    currency: Currency


class Catalog(Line):
    """What the ad is, and which object carries its budget."""

    kind: Literal["catalog"]
    ad_id: Id
    ad_set_id: Id
    campaign_id: Id
    budget_entity: Entity
    status: str
    launched_at_ms: Time
    currency: Currency
    daily_budget_micros: Money | None = None
    mode: str | None = None
    pool: str | None = None
    holdout: bool | None = None
    embedding: list[float] | None = None


class Outcome(Line):
    """What became of a command; written by the executor only (trusted sources)."""

    kind: Literal["outcome"]
    command_id: Id
    budget_entity: Entity
    result: str
    value_micros: Money | None = None
    observed_micros: Money | None = None


class Control(Line):
    """A person's act: approval, override, policy version, kill switch (trusted sources)."""

    kind: Literal["control"]
    action: str
    actor: str
    reason: str


KINDS: Final[dict[str, type[Line]]] = {
    "click": Click,
    "conversion": Conversion,
    "crm_stage": CrmStage,
    "spend": Spend,
    "catalog": Catalog,
    "outcome": Outcome,
    "control": Control,
}


def wire_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one kind.

    Raises
    ------
    KeyError if the wire format has no such kind.
    """
    document = KINDS[kind].model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **document,
        "title": kind,
        "additionalProperties": True,
    }
