"""What every test run begins with."""

from __future__ import annotations

from hypothesis import settings

from headgate.kernel_cache import drop_stale


def pytest_configure(config):
    """Drop compiled kernels that a changed source may have left behind: they would give wrong numbers."""
    if not hasattr(config, "workerinput"):  # the workers of a parallel run start after this
        drop_stale()


# A kernel's first call loads or compiles it: the time of one example says nothing about the test.
settings.register_profile("headgate", deadline=None)
settings.load_profile("headgate")
