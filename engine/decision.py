"""The record of a decision: its numbers as one row, its names beside them, and the form people read.

Rules of this file: a record holds what was known when it was made, never what is known when it is read; a block of
records is one binary string, self-contained, so that readers need no state. The row is a stored format (`MAGIC`).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.command import decision_id
from engine.posterior import return_quantile
from engine.proposal import Hold
from engine.thresholds import PPM
from engine.verdict import SENTENCES, Reason, reason_word, verdict_word

MAGIC: Final = b"HGD1"
HOLDS: Final = tuple(Hold)
MODES: Final = ("direct", "pipeline")
HOLD_SHARED: Final = 200
"""Stored hold code of a budget entity whose ads disagree."""
HOLD_NO_ENTITY: Final = 201
"""Stored hold code of an ad whose budget entity no catalog event has named."""

DECISION: Final = np.dtype(
    [
        ("number", "i8"),
        ("now_ms", "i8"),
        ("offset", "i8"),  # log offset of the tick that asked
        ("spend_micros", "i8"),
        ("revenue_micros", "i8"),
        ("pipeline_micros", "i8"),
        ("clicks", "i8"),
        ("conversions", "i8"),
        ("impressions", "i8"),
        ("live_ms", "i8"),
        ("budget_micros", "i8"),
        ("wish_micros", "i8"),
        ("target_micros", "i8"),
        ("to_scale_micros", "i8"),  # value that is missing to be scaled
        ("to_kill_micros", "i8"),  # spend without further value that leads to a kill
        ("unit_micros", "f8"),
        ("shape", "f8"),
        ("rate", "f8"),
        ("p_below", "f8"),
        ("verdict", "u1"),
        ("reason", "u1"),
        ("was_verdict", "u1"),
        ("was_reason", "u1"),
        ("policy", "u1"),
        ("mode", "u1"),
        ("hold", "u1"),  # 0: permitted or nothing asked; else 1 + place in HOLDS, or a HOLD_* of this file
        ("pad", "u1"),
    ]
)


def hold_word(code: int) -> str | None:
    """The word of a stored hold."""
    if code == HOLD_SHARED:
        return "shared_entity"
    if code == HOLD_NO_ENTITY:
        return "unknown_entity"
    return HOLDS[code - 1].value if code else None


def pack(rows: NDArray[Any], names: bytes, policies: tuple[str, ...], policy_hash: str) -> bytes:
    """One block: magic, number of rows, rows, then the names.

    Parameters
    ----------
    rows : DECISION[n].
    names : four lines a row: tenant, account, ad_id, budget entity (empty where unknown).
    policies, policy_hash : names of the policies by code, and the hash of policy and configuration.
    """
    head = MAGIC + len(rows).to_bytes(4, "little")
    return b"".join([head, rows.tobytes(), f"{policy_hash}\n{','.join(policies)}\n".encode(), names])


def policy_hash_of(block: bytes) -> str:
    """The hash of policy and configuration that a block was made with.

    Raises
    ------
    ValueError where the block is not of this format.
    """
    start = _end_of_rows(block)
    return block[start : block.index(b"\n", start)].decode()


def _end_of_rows(block: bytes) -> int:
    if block[:4] != MAGIC:
        message = "not a block of decisions, or one of another version"
        raise ValueError(message)
    return 8 + int.from_bytes(block[4:8], "little") * DECISION.itemsize


def unpack(block: bytes, policy_seed: int) -> list[dict[str, Any]]:
    """The records of a block as people and scripts read them, oldest first.

    Raises
    ------
    ValueError where the block is not of this format.
    """
    end = _end_of_rows(block)
    rows = np.frombuffer(block[8:end], DECISION)
    policy_hash, policies, *names = block[end:].decode().split("\n")
    words = policies.split(",")
    return [
        record(row, tuple(names[4 * i : 4 * i + 4]), words[row["policy"]], policy_hash, policy_seed)
        for i, row in enumerate(rows)
    ]


def record(row: Any, names: tuple[str, ...], policy: str, policy_hash: str, policy_seed: int) -> dict[str, Any]:
    """One decision in full."""
    tenant, account, ad_id, entity = names
    mode = MODES[row["mode"]]
    value = int(row["pipeline_micros" if mode == "pipeline" else "revenue_micros"])
    spend = int(row["spend_micros"])
    return {
        "decision_id": decision_id(tenant, account, policy_seed, int(row["number"])),
        "number": int(row["number"]),
        "tenant": tenant,
        "account": account,
        "ad_id": ad_id,
        "budget_entity": entity or None,
        "decided_at_ms": int(row["now_ms"]),
        "verdict": verdict_word(row["verdict"]),
        "reason": reason_word(row["reason"]),
        "because": SENTENCES[Reason(row["reason"])],
        "was": {"verdict": verdict_word(row["was_verdict"]), "reason": reason_word(row["was_reason"])},
        "mode": mode,
        "policy": policy,
        "policy_hash": policy_hash,
        "draws_key": [policy_seed, f"{tenant}/{account}", int(row["number"])],
        "propensity": 1.0,
        "target_micros": _or_none(row["target_micros"]),
        "wish_micros": _or_none(row["wish_micros"]),
        "budget_micros": _or_none(row["budget_micros"]),
        "held": hold_word(int(row["hold"])),
        "evidence": {
            "spend_micros": spend,
            "revenue_micros": int(row["revenue_micros"]),
            "pipeline_micros": int(row["pipeline_micros"]),
            "roas_ppm": value * PPM // spend if spend > 0 else None,
            "clicks": int(row["clicks"]),
            "conversions": int(row["conversions"]),
            "impressions": int(row["impressions"]),
            "live_ms": _or_none(row["live_ms"]),
            "matured_ppm": PPM,
        },
        "posterior": posterior(float(row["shape"]), float(row["rate"]), float(row["p_below"])),
        "would_flip": {
            "value_to_scale_micros": int(row["to_scale_micros"]),
            "spend_to_kill_micros": int(row["to_kill_micros"]),
        },
        "position": int(row["offset"]),
    }


def posterior(shape: float, rate: float, p_below: float) -> dict[str, float] | None:
    """The posterior of the return in numbers, None while no typical value is known."""
    if rate <= 0.0:
        return None
    return {
        "shape": shape,
        "rate": rate,
        "mean": shape / rate,
        "p05": return_quantile(shape, rate, 0.05),
        "p95": return_quantile(shape, rate, 0.95),
        "p_below_break_even": p_below,
    }


def _or_none(number: Any) -> int | None:
    return int(number) if number >= 0 else None
