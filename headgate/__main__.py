"""``headgate``: the one place where faults become one clear line and an exit code.

Rules of this file: 0 done, 1 refused or failed with one line on the standard error, 2 wrong usage; a traceback is shown
only with ``HEADGATE_DEBUG=1``. Only the standard library and typer are loaded before a command runs.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType, TracebackType

import typer
import typer.main

from headgate.cli import app
from headgate.kernel_cache import drop_stale
from headgate.refusal import Refused

INTERRUPTED = 130
ROOMS = ("engine", "state", "connectors", "flows", "headgate", "bench")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code."""
    sys.excepthook = _last_resort
    signal.signal(signal.SIGTERM, _terminate)
    drop_stale()
    code = run(sys.argv[1:] if arguments is None else list(arguments))
    _flush()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command; every refusal is printed as one line.

    Parameters
    ----------
    arguments : the words after ``headgate``.

    Returns
    -------
    int, the exit code: 0, 1 or 2.
    """
    try:
        command = typer.main.get_command(app)  # calling app itself would put back its own way to show faults
        code = command.main(list(arguments), prog_name="headgate", standalone_mode=False)
    except typer.TyperException as fault:
        return _misused(fault)
    except _refusals() as fault:
        return _refused(fault)
    except typer.Abort:
        code = INTERRUPTED
    if code == INTERRUPTED:
        return _say("interrupted", 1)
    return code if isinstance(code, int) else 0


def _refusals() -> tuple[type[BaseException], ...]:
    """What a command may raise on purpose; the errors of other rooms count only if a command loaded them."""
    loaded = (
        ("redis.exceptions", "RedisError"),
        ("state.errors", "StateError"),
        ("connectors.log", "LogError"),
        ("connectors.embedded_process", "EmbeddedRedisError"),
        ("connectors.worlds.protocol", "WorldError"),
        ("connectors.feed", "FeedError"),
        ("flows.halt", "StandDown"),
        ("flows.execute", "ExecutorError"),
    )
    others = (getattr(sys.modules[module], name) for module, name in loaded if module in sys.modules)
    return (Refused, OSError, ValueError, *others)


def _refused(fault: BaseException) -> int:
    if _wants_trace():
        traceback.print_exception(fault)
    if isinstance(fault, Refused):
        return _say(str(fault), fault.exit_code)
    if type(fault).__module__.startswith("redis"):
        return _say(f"Redis: {fault}; headgate doctor shows which server is out of reach", 1)
    if isinstance(fault, OSError) and fault.strerror:
        name = f"{fault.filename}: " if fault.filename else ""
        return _say(f"{name}{fault.strerror}", 1)
    return _say(str(fault) or type(fault).__name__, 1)


def _misused(fault: typer.TyperException) -> int:
    context = getattr(fault, "ctx", None)
    if type(fault).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(fault.format_message() + "\n")
        return 2
    path = context.command_path if context is not None else "headgate"
    message = fault.format_message().rstrip(".")
    return _say(f"{message[:1].lower()}{message[1:]} ({path} --help shows what it takes)", 2)


def _say(message: str, code: int) -> int:
    sys.stderr.write("headgate: " + " ".join(message.split()) + "\n")
    return code


def _wants_trace() -> bool:
    return os.environ.get("HEADGATE_DEBUG", "") not in {"", "0"}


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _last_resort(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    if kind.__module__.split(".")[0] in ROOMS:  # an error that a room made for people
        _refused(fault)
        return
    if _wants_trace():
        traceback.print_exception(kind, fault, trace)
    at = traceback.extract_tb(trace)[-1] if trace is not None else None
    where = f" in {os.path.relpath(at.filename)}:{at.lineno}" if at is not None else ""
    _say(f"a fault of Headgate itself: {kind.__name__}: {fault}{where}; HEADGATE_DEBUG=1 shows all of it", 1)


def _flush() -> None:
    """Write what is left; a reader that has gone is no fault of ours."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
