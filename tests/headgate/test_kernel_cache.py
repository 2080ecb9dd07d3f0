"""Compiled kernels never outlive a source that may be inside them."""

from __future__ import annotations

from headgate.kernel_cache import drop_stale


def test_a_changed_source_drops_the_compiled_kernels_of_every_room(tmp_path):
    for room in ("engine", "connectors"):
        (tmp_path / room / "__pycache__").mkdir(parents=True)
    callee, caller = tmp_path / "engine" / "layout.py", tmp_path / "engine" / "step.py"
    callee.write_text("A = 1\n")
    caller.write_text("")
    compiled = [tmp_path / room / "__pycache__" / "step.f-1.py311.nbi" for room in ("engine", "connectors")]
    for file in compiled:
        file.write_text("")
    assert drop_stale(tmp_path)
    assert not any(file.exists() for file in compiled)
    compiled[0].write_text("")
    assert not drop_stale(tmp_path)
    assert compiled[0].exists()
    callee.write_text("A = 22\n")
    assert drop_stale(tmp_path)
    assert not compiled[0].exists()
