"""Answers on the standard output: JSON for scripts, tables for people.

Rules of this file: with ``--json`` a list is one object a line and a single answer one object, nothing else is printed;
without it, a terminal gets a table in currency units and UTC times, a pipe gets tab-separated values as they are.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain
from typing import Any

Row = Mapping[str, Any]


def print_object(answer: Row, *, as_json: bool) -> None:
    """Print a single answer: one JSON object, or a line for each of its fields."""
    if as_json:
        _write_json(answer)
        return
    width = max((len(key) for key in answer), default=0)
    for key, value in answer.items():
        sys.stdout.write(f"{key:<{width}}  {_plain(value)}\n")


def print_rows(rows: Iterable[Row], columns: Sequence[str], *, as_json: bool) -> None:
    """Print a list: JSON lines with all fields, else the named columns as a table or tab-separated."""
    rows = iter(rows)
    first = next(rows, None)  # a refusal comes before the first word is printed
    rows = rows if first is None else chain((first,), rows)
    if as_json:
        for row in rows:
            _write_json(row)
    elif sys.stdout.isatty():
        _print_table(rows, columns)
    else:
        sys.stdout.write("\t".join(columns) + "\n")
        for row in rows:
            sys.stdout.write("\t".join(_plain(row.get(column)) for column in columns) + "\n")


def print_lines(lines: Iterable[str]) -> None:
    """Print what is words already."""
    sys.stdout.writelines(f"{line}\n" for line in lines)


def print_note(text: str) -> None:
    """Say something beside the answer, on the standard error."""
    sys.stderr.write(f"{text}\n")


def _write_json(answer: Row) -> None:
    import orjson

    sys.stdout.flush()
    sys.stdout.buffer.write(orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY))
    sys.stdout.buffer.flush()


def _print_table(rows: Iterable[Row], columns: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        is_number = column.endswith(("_micros", "_ppm")) or column in {"clicks", "impressions", "conversions"}
        table.add_column(column.removesuffix("_micros").removesuffix("_ms"), justify="right" if is_number else "left")
    count = 0
    for row in rows:
        table.add_row(*(_for_people(column, row.get(column)) for column in columns))
        count += 1
    console = Console()
    console.print(table)
    console.print(f"[dim]{count} row{'' if count == 1 else 's'}[/dim]")


def _for_people(column: str, value: Any) -> str:
    if value is None:
        return "-"
    if column.endswith("_micros"):
        sign, micros = "-" if value < 0 else "", abs(int(value))
        return f"{sign}{micros // 1_000_000:,}.{micros % 1_000_000 // 10_000:02d}"
    if column.endswith("_ms"):
        return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else _plain(value)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list | tuple):
        import orjson

        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return str(value)


@contextmanager
def progress_bar(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on the standard error, for people only; yields a function told of (done, all)."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, all_: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, all_: bar.update(task, completed=done, total=all_)
