"""What can go wrong with stored state, by who must act.

Rules of this file: every message is one line and says how to mend; a reply that the protocol foresees (fenced, rolled
back) is a `Reply`, not an error.
"""

from __future__ import annotations


class StateError(Exception):
    """Any failure of the stored state; the message is one line for people."""


class StateUnavailable(StateError):
    """Redis does not answer, or refuses to write; nothing was lost, the same call may be made again."""


class ShardBusy(StateError):
    """Another living owner holds the shard's lease."""


class ShardFenced(StateError):
    """The shard has another owner now: drop memory and stand down."""


class ShardLost(StateError):
    """A shard that ought to exist is not there; starting from zero would decide on nothing."""


class CorruptState(StateError):
    """Stored bytes fail their check, or a link of the chain is missing."""


class StateFormat(StateError):
    """The state was written by a Headgate with another layout."""
