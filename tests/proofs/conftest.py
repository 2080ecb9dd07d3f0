"""One nursery for all proofs of a test process; folders whose paths are short enough for sockets."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proofs.processes import Nursery


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """The nursery."""
    with tempfile.TemporaryDirectory(prefix="hg-n") as folder, Nursery(Path(folder)) as found:
        yield found


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path."""
    with tempfile.TemporaryDirectory(prefix="hg-") as name:
        yield Path(name)
