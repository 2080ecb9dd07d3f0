"""A benchmark's child process: ``python -m bench.child module:function '{"name": value}'`` prints one JSON object."""

from __future__ import annotations

import importlib
import json
import sys


def main() -> None:
    """Call what the first word names with what the second holds."""
    place, given = sys.argv[1:]
    module, _, name = place.partition(":")
    answer = getattr(importlib.import_module(module), name)(**json.loads(given))
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
