"""Refused: what a person asked for cannot be done, said in one line that tells how to mend it.

Rules of this file: the message is one line, names the thing at fault and the way out; `headgate.__main__` is the one
place that prints it (``headgate: ...``) and turns it into exit code 1.
"""

from __future__ import annotations


class Refused(Exception):
    """The product's own refusal; every refusal of the command line is one of these.

    Parameters
    ----------
    message : str, one line: what is wrong, and what to do about it.
    """

    exit_code = 1


class Misused(Refused):
    """The command was put together wrongly (exit code 2)."""

    exit_code = 2
