"""Help, error messages, docstrings, comments, docs and README keep to the terms of docs/concepts/glossary.md.

`banned_words.txt` lists what they do not contain. Tables and code spans of the changelog
may contain old names.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from passerby.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
OLD_NAMES = ROOT / "src/passerby/migration.py"  # lists the names of version 0.1
SOURCES = sorted(path for path in (ROOT / "src").rglob("*.py") if path != OLD_NAMES)
RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))


def load_words() -> list[tuple[re.Pattern[str], str]]:
    """Patterns and their replacements."""
    lines = Path(__file__).with_name("banned_words.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return [(re.compile(pattern, re.IGNORECASE | re.MULTILINE), instead) for pattern, instead in rows]


WORDS = load_words()


def find_words(text: str) -> list[str]:
    """Each hit with its line and replacement; addresses and HTML comments are not searched."""
    text = re.sub(r"<!--.*?-->|https?://\S+", lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.DOTALL)
    return [
        f"line {text.count(chr(10), 0, hit.start()) + 1}: {hit[0].strip()!r}, instead: {instead}"
        for pattern, instead in WORDS
        for hit in pattern.finditer(text)
    ]


def check(*texts: str) -> None:
    hits = [hit for text in texts for hit in find_words(text)]
    assert not hits, "\n".join(hits)


def list_commands() -> list[str]:
    group = typer.main.get_command(app)
    return group.list_commands(group.make_context("passerby", [], resilient_parsing=True))


def name_path(path: Path) -> str:
    return str(path.relative_to(ROOT))


def read_messages(tree: ast.Module) -> Iterator[str]:
    """The text of each raised error; values that are filled in become `…`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            for argument in node.exc.args:
                pieces = [each for each in ast.walk(argument) if isinstance(each, ast.Constant)]
                yield " ".join(each.value for each in pieces if isinstance(each.value, str))


def read_docstrings(tree: ast.Module) -> Iterator[str]:
    """Docstrings of modules, classes and functions, and those below constants."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(ast.Constant(str(text))):
                yield text


def read_comments(text: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


@pytest.mark.parametrize("page", PAGES, ids=name_path)
def test_page(page: Path) -> None:
    check(page.read_text(encoding="utf-8"))


def test_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    check(re.sub(r"^\|.*|`[^`\n]+`", "", text, flags=re.MULTILINE))


@pytest.mark.parametrize("name", list_commands())
def test_help(name: str) -> None:
    group = typer.main.get_command(app)
    command = group.get_command(group.make_context("passerby", [], resilient_parsing=True), name)
    assert command is not None
    context = command.make_context(name, [], resilient_parsing=True)
    records = [each.get_help_record(context) for each in command.params]
    texts = [command.help or "", *(" ".join(record) for record in records if record)]
    check(*(" ".join(text.split()) for text in texts))


@pytest.mark.parametrize("path", SOURCES, ids=name_path)
def test_source(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    check(*read_messages(tree), *read_docstrings(tree), *read_comments(text))


@pytest.mark.parametrize("path", RECIPES, ids=name_path)
def test_recipe(path: Path) -> None:
    check(path.read_text(encoding="utf-8"))


def test_hits_are_found() -> None:
    assert find_words("See\nhttps://said.org and train it anew") == ["line 2: 'anew', instead: again"]
    assert find_words("passerby evaluate b --part test --split official-1")
    assert not find_words("--partition official-1 --split test")
    message = 'if x:\n    raise ValueError(f"expected {x}, "\n        "as was said")'
    (text,) = read_messages(ast.parse(message))
    assert find_words(text)
