"""The first start compiles with a line that says so; the next one says nothing; a changed source compiles again."""

from __future__ import annotations

from pathlib import Path

import pytest

from headgate import first_compile
from headgate.first_compile import compile_kernels


def test_it_is_said_once_and_again_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(first_compile, "_use_them", lambda: done.append("compiled"))
    source = tmp_path / "engine" / "some.py"
    source.parent.mkdir()
    source.write_text("one = 1")
    said: list[str] = []
    compile_kernels(said.append, tmp_path)
    assert (len(done), len(said)) == (1, 2)
    assert compile_kernels(said.append, tmp_path) == 0.0
    assert (len(done), len(said)) == (1, 2)
    source.write_text("another = 2")
    compile_kernels(said.append, tmp_path)
    assert (len(done), len(said)) == (2, 4)


def test_what_it_plays_runs() -> None:
    first_compile._play("thresholds")
