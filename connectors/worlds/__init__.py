"""Worlds: simulated markets that speak the wire format and obey the executor's commands."""
