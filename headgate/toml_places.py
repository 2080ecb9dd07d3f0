"""Where each key of a TOML document stands: the line numbers that `tomllib` does not keep.

Rules of this file: the document has been accepted by `tomllib` before, so this reader only follows the structure
(headers, dotted keys, inline tables, arrays, strings) and never judges it. A path is the tuple of keys from the root;
elements of an array are counted from 0.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final

Path = tuple[str | int, ...]

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN: Final = re.compile(r"[^,\]}\n#]+")
_STRINGS: Final = (
    re.compile(r'"""(?:\\.|[^\\])*?"{3,5}', re.DOTALL),
    re.compile(r"'''.*?'{3,5}", re.DOTALL),
    re.compile(r'"(?:\\.|[^"\\\n])*"'),
    re.compile(r"'[^'\n]*'"),
)
_INLINE: Final = re.compile(r"[ \t]*")
_GAP: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")


def key_lines(text: str) -> dict[Path, int]:
    """The line (from 1) of every key, table and array element of a valid TOML document.

    Parameters
    ----------
    text : str, a document that `tomllib.loads` accepts.

    Returns
    -------
    dict from path to line; a table that is named several times keeps its first line.
    """
    return _Reader(text).document()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")
        self.at = 0
        self.lines: dict[Path, int] = {}
        self.counts: dict[Path, int] = {}

    def document(self) -> dict[Path, int]:
        table: Path = ()
        self._skip(_GAP)
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_GAP)
        return self.lines

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()

    def _note(self, path: Path) -> None:
        self.lines.setdefault(path, self.text.count("\n", 0, self.at) + 1)

    def _header(self) -> Path:
        is_array = self.text.startswith("[[", self.at)
        start = self.at
        self.at += 2 if is_array else 1
        keys = self._key()
        self.at += 2 if is_array else 1
        end, self.at = self.at, start
        path: Path = ()
        for i, key in enumerate(keys):
            path += (key,)
            self._note(path)
            if is_array and i == len(keys) - 1:
                self.counts[path] = self.counts.get(path, 0) + 1
            if path in self.counts:
                path += (self.counts[path] - 1,)
                self._note(path)
        self.at = end
        return path

    def _key(self) -> list[str]:
        keys: list[str] = []
        while True:
            self._skip(_INLINE)
            bare = _BARE.match(self.text, self.at)
            raw = bare.group() if bare is not None else self._string()
            keys.append(raw if bare is not None else next(iter(tomllib.loads(f"{raw} = 0"))))
            self.at += len(raw)
            self._skip(_INLINE)
            if not self.text.startswith(".", self.at):
                return keys
            self.at += 1

    def _string(self) -> str:
        for pattern in _STRINGS:
            found = pattern.match(self.text, self.at)
            if found is not None:
                return found.group()
        return self.text[self.at : self.at + 1]

    def _pair(self, table: Path) -> None:
        start = self.at
        path = table
        keys = self._key()
        end, self.at = self.at, start
        for key in keys:
            path += (key,)
            self._note(path)
        self.at = end + 1  # the equals sign
        self._skip(_INLINE)
        self._value(path)

    def _value(self, path: Path) -> None:
        first = self.text[self.at : self.at + 1]
        if first == "[":
            self._members(path, "]", is_table=False)
        elif first == "{":
            self._members(path, "}", is_table=True)
        elif first in ('"', "'"):
            self.at += len(self._string())
        else:
            self._skip(_PLAIN)

    def _members(self, path: Path, closing: str, *, is_table: bool) -> None:
        self.at += 1
        count = 0
        while True:
            self._skip(_GAP)
            if self.at >= len(self.text) or self.text[self.at] == closing:
                self.at += 1
                return
            if self.text[self.at] == ",":
                self.at += 1
            elif is_table:
                self._pair(path)
            else:
                self._note((*path, count))
                self._value((*path, count))
                count += 1
