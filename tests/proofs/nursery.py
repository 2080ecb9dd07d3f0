"""A process that has loaded and compiled everything, and forks a role of the product in a few milliseconds.

Rules of this file: one thread, no connection of its own; a child is a real process that runs the same entry point as
``headgate`` on the command line, prepared as its order says (`Order`); children die with the nursery, and the nursery
with the one who began it. Run as ``python -m tests.proofs.nursery``; it speaks JSON lines on its standard streams.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import runpy
import select
import signal
import sys
import time
from dataclasses import dataclass, field
from typing import Any

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Order:
    """What a child shall be.

    Attributes
    ----------
    argv : the words after ``headgate``, or after ``python -m MODULE`` where ``module`` names one.
    env : added to the environment. out, err : files for the standard streams.
    point : (call, phase, count) or (call, phase, count, stands) at which it dies; see `tests.proofs.crash.Point`.
    wall_ms : what its wall clock shows at its start; None: the truth.
    guarded : whether its store is the product's.
    small_checkpoints : whether checkpoints come every few commits.
    read_bytes, commit_events : how the log is cut into reads and commits; None: as the product does.
    acquire_s : how long it waits for a shard that another process holds; None: as the product does.
    patience_s : how long it waits for a server that is away; None: as the product does.
    """

    argv: list[str]
    out: str
    err: str
    module: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    point: tuple[str | int, ...] | None = None
    wall_ms: int | None = None
    guarded: bool = True
    small_checkpoints: bool = False
    read_bytes: int | None = None
    commit_events: int | None = None
    acquire_s: float | None = None
    patience_s: float | None = None


def warm() -> None:
    """Load and compile what the roles will use, without touching a server."""
    import tests.proofs.warm as warming

    warming.run()
    gc.collect()
    gc.freeze()  # a collection in a child would copy the shared pages


def main() -> None:
    """Take orders until the standard input ends; answer with process ids and, later, exit codes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warm()
    _say(ready=True)
    children: dict[int, int] = {}  # pidfd -> pid
    while True:
        ready, _, _ = select.select([0, *children], [], [])
        for found in ready:
            if found in children:
                pid = children.pop(found)
                os.close(found)
                _, status = os.waitpid(pid, 0)
                _say(pid=pid, code=os.waitstatus_to_exitcode(status))
                continue
            line = sys.stdin.buffer.raw.readline()
            if not line:
                _end(list(children.values()))
                return
            pid = _fork(Order(**json.loads(line)), list(children))
            children[os.pidfd_open(pid)] = pid
            _say(born=pid)


def _end(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _say(**words: Any) -> None:
    os.write(1, json.dumps(words).encode() + b"\n")


def _fork(order: Order, handles: list[int]) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(70)
        for handle in handles:
            os.close(handle)
        code = _child(order)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _child(order: Order) -> int:
    for target, path in ((0, os.devnull), (1, order.out), (2, order.err)):
        flags = os.O_RDONLY if target == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND
        os.dup2(os.open(path, flags, 0o600), target)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(order.env)
    _prepare(order)
    module = order.module or "headgate"
    sys.argv = [module, *order.argv]
    try:
        if order.module is None:
            from headgate.__main__ import main as enter

            enter()
        else:
            runpy.run_module(order.module, run_name="__main__", alter_sys=True)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException as fault:  # noqa: BLE001 - as the interpreter would: its hook, then 1
        sys.excepthook(type(fault), fault, fault.__traceback__)
        return 1
    return 0


def _prepare(order: Order) -> None:
    import flows.shard_logic
    import flows.shard_source
    import state.caller
    import state.manifest
    import state.outbox
    import state.store
    from tests.proofs import crash

    if order.wall_ms is not None:
        shift, clock = order.wall_ms * 1_000_000 - time.time_ns(), time.time_ns
        time.time_ns = lambda: clock() + shift
    if order.small_checkpoints:
        make = state.store.Checkpointer
        state.store.Checkpointer = lambda tables, stored=(): make(
            tables, stored, min_bytes=1 << 16, max_bytes=1 << 17, max_deltas=5
        )
        state.store.ShardStore.checkpoint.__defaults__ = (1 << 14,)
    if not order.guarded:
        from tests.proofs.unguarded import UnguardedStore

        state.store.ShardStore = UnguardedStore
    if order.read_bytes is not None:
        reader = flows.shard_source.LogReader.__init__
        reader.__defaults__ = (order.read_bytes,)
    if order.commit_events is not None:
        flows.shard_logic.COMMIT_EVENTS_MAX = order.commit_events
    if order.acquire_s is not None:
        flows.shard_logic.ShardEngine.__init__.__kwdefaults__["wait_s"] = order.acquire_s
    if order.patience_s is not None:
        state.caller.Caller.__init__.__kwdefaults__["patience_s"] = order.patience_s
        state.store.ShardStore.__init__.__kwdefaults__["patience_s"] = order.patience_s
        state.outbox.Outbox.__init__.__kwdefaults__["patience_s"] = order.patience_s
        state.manifest.ensure.__kwdefaults__["patience_s"] = order.patience_s
    if order.point is not None:
        crash.arm(crash.Point(*order.point))


if __name__ == "__main__":
    main()
