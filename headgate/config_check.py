"""``headgate config check``: every fault of the settings file, or what follows from it."""

from __future__ import annotations

import sys
from pathlib import Path

from headgate.asked import Asked
from headgate.output import print_object
from headgate.refusal import Refused
from headgate.settings_file import DEFAULT_FILE, ConfigInvalid, load_settings


def check(asked: Asked) -> bool:
    """Read the settings and print the result; True when they are good.

    Raises
    ------
    Refused if there is no file to check: checking nothing is no success.
    """
    if asked.config is None and not Path(DEFAULT_FILE).exists():
        message = f"there is no {DEFAULT_FILE} here to check; name a file with --config"
        raise Refused(message)
    try:
        settings = load_settings(asked.config)
    except ConfigInvalid as fault:
        if asked.as_json:
            print_object({"ok": False, "problems": fault.problems}, as_json=True)
        else:
            sys.stderr.writelines(f"headgate: {problem}\n" for problem in fault.problems)
        return False
    engine = settings.engine()
    answer = {
        "ok": True,
        "file": str(settings.origin),
        "accounts": len(engine.accounts),
        "strict_accounts": engine.strict_accounts,
        "log": settings.log.url,
        "state": settings.state.url,
        "problems": [],
    }
    print_object(answer, as_json=asked.as_json)
    return True
