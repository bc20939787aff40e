"""The shape of the house, read from the source: who may import whom, what stands where, what is never written."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SOURCES = sorted(path for name in ("transforms", "pipelines", "api") for path in (REPOSITORY / name).rglob("*.py"))

#: Package -> (what it may import of ours, what it may not import of others). The longest matching package counts.
RULES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "transforms": (
        ("transforms",),
        ("sqlalchemy", "psycopg", "psycopg2", "alembic", "dagster", "fastapi", "starlette", "deltalake", "great_expectations", "os", "pathlib",
         "time", "random", "secrets", "socket", "subprocess", "shutil", "tempfile", "threading", "asyncio", "logging"),
    ),
    "pipelines.storage": (("transforms", "pipelines.storage"), ("dagster", "dagster_postgres", "fastapi", "starlette", "great_expectations")),
    "pipelines": (("transforms", "pipelines"), ("fastapi", "starlette")),
    "api": (("transforms", "pipelines.storage", "api"), ("dagster", "dagster_postgres", "great_expectations")),
}  # fmt: skip

#: Calls that read a clock or roll dice; ``transforms`` gets its dates and ids as arguments.
IMPURE = {"now", "today", "utcnow", "uuid1", "uuid4", "urandom", "getenv"}

TOP_LEVEL = {
    ".ci", ".gitignore", ".pictures", ".pre-commit-config.yaml", "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "api", "dagster.yaml",
    "pipelines", "pyproject.toml", "tests", "transforms", "workspace.yaml",
}  # fmt: skip

BANNED_NAMES = {"utils", "helpers", "manager", "common", "base"}


def module_name(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def rule_of(module: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return RULES[max((package for package in RULES if is_within(module, package)), key=len)]


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of everything imported, wherever in the file; for ``from a import b`` both a and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def violations(path: Path, source: str) -> list[str]:
    module = module_name(path)
    ours, forbidden = rule_of(module)
    found = []
    for line, name in imported(ast.parse(source)):
        top = name.partition(".")[0]
        if top in ("transforms", "pipelines", "api", "tests") and not any(is_within(name, package) for package in ours):
            found.append(f"{path.relative_to(REPOSITORY)}:{line} imports {name}; {module} may import of ours only {', '.join(ours)}")
        if any(is_within(name, package) for package in forbidden):
            found.append(f"{path.relative_to(REPOSITORY)}:{line} imports {name}")
    return found


def test_every_import_follows_the_line() -> None:
    assert len(SOURCES) > 20
    assert [violation for path in SOURCES for violation in violations(path, path.read_text())] == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("transforms/x.py", "import os"),
        ("transforms/x.py", "from pathlib import Path"),
        ("transforms/x.py", "def f():\n    from pipelines.storage.lake import Lake"),
        ("pipelines/storage/x.py", "import dagster as dg"),
        ("pipelines/storage/x.py", "from pipelines.defs import usage"),
        ("pipelines/storage/x.py", "from pipelines import definitions"),
        ("api/routers/x.py", "from pipelines.defs.recording import recorded_ingest"),
        ("api/x.py", "from dagster import asset"),
        ("pipelines/defs/x.py", "from api.app import app"),
    ],
)
def test_the_rule_catches(file: str, source: str) -> None:
    assert violations(REPOSITORY / file, source)


def test_transforms_read_no_clock_and_roll_no_dice() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno} calls {node.func.attr}"
        for path in SOURCES
        if is_within(module_name(path), "transforms")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in IMPURE
    ]
    assert found == []


def test_only_money_rounds() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno}"
        for path in SOURCES
        if is_within(module_name(path), "transforms") and path.name != "money.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("quantize", "ROUND_HALF_UP", "ROUND_HALF_EVEN")
    ]
    assert found == []


def test_top_level_entries_are_these() -> None:
    present = {path.name for path in REPOSITORY.iterdir()}
    generated = {
        ".git",
        ".venv",
        ".meterhouse",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".hypothesis",
        "__pycache__",
        "meterhouse.egg-info",
        "build",
    }
    assert present - TOP_LEVEL - generated == set()


def test_every_module_says_what_lives_in_it() -> None:
    assert [
        str(path.relative_to(REPOSITORY)) for path in SOURCES if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ] == []


def test_no_module_is_named_for_nothing() -> None:
    assert [str(path) for path in SOURCES if path.stem in BANNED_NAMES] == []


def test_no_file_names_a_place_of_one_machine() -> None:
    forbidden = ("/" + "work/", "/root/" + ".", "pypi" + ".org", "files.pythonhosted" + ".org")
    suffixes = {".py", ".toml", ".yaml", ".yml", ".md", ".lock", ".html", ""}
    files = [path for path in REPOSITORY.rglob("*") if path.is_file() and path.suffix in suffixes]
    own = [path for path in files if not {".git", ".venv", ".meterhouse", ".hypothesis"} & set(path.parts) and "cache" not in str(path)]
    assert [str(path) for path in own if any(text in path.read_text(errors="replace") for text in forbidden)] == []
