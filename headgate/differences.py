"""How what was derived differs from what stands: told so that a person sees the first wrong field.

Rules of this file: bytes decide whether two entries are equal; only then are they taken apart, for words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from engine.decision import unpack

Numbered = tuple[int, dict[bytes, bytes]]
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place at which the two are not the same.

    Attributes
    ----------
    shard : int. what : ``decision``, ``command``, ``dead_letter`` or ``state``.
    place : its number, or the table's name.
    stored, derived : what differs, as far as it can be said; None where one of them is missing.
    how : one sentence.
    """

    shard: int
    what: str
    place: int | str
    stored: Any
    derived: Any
    how: str

    def to_row(self) -> dict[str, Any]:
        """As ``headgate replay --json`` gives it."""
        return {
            "shard": self.shard,
            "what": self.what,
            "place": self.place,
            "stored": self.stored,
            "derived": self.derived,
            "how": self.how,
        }


def between(shard: int, what: str, derived: Numbered | None, stored: Numbered | None) -> Difference | None:
    """Compare two entries byte for byte; None if they are the same.

    Parameters
    ----------
    what : ``outbox`` or ``dead_letter``.
    """
    if derived == stored:
        return None
    present = derived or stored
    assert present is not None
    number, fields = present
    kind = what if what != "outbox" else "decision" if b"d" in fields else "command"
    if derived is None:
        return Difference(shard, kind, number, _words(stored), None, f"{kind} {number} stands but does not follow")
    if stored is None:
        return Difference(shard, kind, number, None, _words(derived), f"{kind} {number} follows but does not stand")
    if derived[0] != stored[0]:
        how = f"{kind} {derived[0]} is missing: {stored[0]} stands in its place"
        return Difference(shard, kind, derived[0], stored[0], derived[0], how)
    old, new = _words(stored), _words(derived)
    names = [name for name in {**new, **old} if old.get(name) != new.get(name)]
    if not names:  # equal words in unequal bytes
        return Difference(shard, kind, number, None, None, f"{kind} {number} differs in its bytes alone")
    told = {name: old.get(name) for name in names}, {name: new.get(name) for name in names}
    return Difference(shard, kind, number, *told, f"{kind} {number} differs in {', '.join(names)}")


def _words(entry: Numbered | None) -> dict[str, Any]:
    """An entry as words; of a block of decisions each record under its place."""
    assert entry is not None
    fields = entry[1]
    try:
        if b"d" in fields:
            rows = enumerate(unpack(fields[b"d"], 0))
            return {f"{place}.{name}": value for place, row in rows for name, value in row.items()}
        if b"c" in fields:
            return dict(orjson.loads(fields[b"c"]))
    except (ValueError, KeyError, IndexError):
        pass  # it was tampered with: its bytes are all that can be told
    return {name.decode(errors="replace"): repr(text[:_SHOWN]) for name, text in fields.items()}
