"""``headgate bench flow``: one workload, four programs, one exact answer; how many events a CPU second each takes.

Rules of this file: every row reads the same file in a process of its own, with Python's cycle collector in its default
state; the plain row's answer is the reference, and a row that reaches another one says ``exact: false``. Compiled
kernels are warmed up by a small run of the same program before the clock starts, and the log of the ``flow`` row is
filled before; reading, decoding, deciding and committing is what the clock sees.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

from bench.harness import in_child, machine, peak_mb, timed, workplace
from bench.plain import Answer

ROWS: Final = {
    "plain-dict": "bench.flow:plain_dict",
    "bytewax-idiomatic": "bench.flow:bytewax_idiomatic",
    "engine": "bench.engine_row:run",
    "flow": "bench.flow_row:run",
}
Row = dict[str, Any]


def measure(
    events: int = 1_000_000, ads: int = 10_000, accounts: int = 20, seed: int = 1, rows: list[str] | None = None
) -> dict[str, Any]:
    """Run the rows.

    Parameters
    ----------
    events, ads, accounts, seed : of `bench.workload.generate`.
    rows : which rows to run, all by default; without the plain row ``exact`` is None.

    Returns
    -------
    ``rows``, ``ratio_to_idiomatic`` (events per CPU second, flow over idiomatic), the workload, the machine.
    """
    from headgate.output import progress_bar

    wanted = [name for name in ROWS if rows is None or name in rows]
    with workplace() as folder, progress_bar("bench flow", quiet=False) as progress:
        path = folder / "events.ndjson"
        progress(0, len(wanted) + 1)
        write_workload(path, events, ads, accounts, seed)
        found: dict[str, Row] = {}
        for done, name in enumerate(wanted, 1):
            progress(done, len(wanted) + 1)
            found[name] = in_child(ROWS[name], path=str(path), accounts=accounts)
        size = path.stat().st_size
    reference = found.get("plain-dict", {}).get("answer")
    return {
        "rows": [as_shown(name, row, events, reference) for name, row in found.items()],
        "ratio_to_idiomatic": _ratio(found),
        "workload": {"events": events, "bytes": size, "ads": ads, "accounts": accounts, "seed": seed},
        "collector": "on",
        "machine": machine(),
    }


def write_workload(path: Path, events: int, ads: int, accounts: int, seed: int) -> None:
    """Write the workload's lines to a file."""
    from bench.workload import generate

    with path.open("wb") as file:
        file.writelines(line + b"\n" for line in generate(events, ads, accounts, seed))


def digest_of(answer: Answer) -> str:
    """A digest of an answer: equal answers, equal digests."""
    rows = "\n".join(f"{key} {row}" for key, row in sorted(answer.items()))
    return hashlib.blake2b(rows.encode(), digest_size=16).hexdigest()


def plain_dict(path: str, accounts: int) -> Row:
    """The plain row, in this process."""
    from bench import plain

    with timed() as took:
        answer, cpu_s, events = plain.run(path)
    return {"answer": digest_of(answer), "events": events, "cpu_s": cpu_s, "wall_s": took.wall_s, "peak_mb": peak_mb()}


def bytewax_idiomatic(path: str, accounts: int) -> Row:
    """The idiomatic row, in this process."""
    from bench import idiomatic

    with timed() as took:
        answer, cpu_s, events = idiomatic.run(path)
    return {"answer": digest_of(answer), "events": events, "cpu_s": cpu_s, "wall_s": took.wall_s, "peak_mb": peak_mb()}


def as_shown(name: str, row: Row, events: int, reference: str | None) -> Row:
    """A row as it is printed; exact: the reference's answer over all events (None where there is no reference)."""
    shown: Row = {
        "row": name,
        "events_per_cpu_s": round(row["events"] / row["cpu_s"]),
        "wall_events_per_s": round(row["events"] / row["wall_s"]),
        "peak_mb": row["peak_mb"],
        "exact": None if reference is None else row["answer"] == reference and row["events"] == events,
        "cpu_s": round(row["cpu_s"], 3),
    }
    if "server_cpu_s" in row:
        shown["server_cpu_s"] = round(row["server_cpu_s"], 3)
        shown["events_per_cpu_s_with_server"] = round(row["events"] / (row["cpu_s"] + row["server_cpu_s"]))
        shown["commits"] = row["commits"]
    return shown


def _ratio(found: dict[str, Row]) -> float | None:
    if not {"flow", "bytewax-idiomatic"} <= set(found):
        return None
    flow, idiomatic = found["flow"], found["bytewax-idiomatic"]
    return round((flow["events"] / flow["cpu_s"]) / (idiomatic["events"] / idiomatic["cpu_s"]), 2)
