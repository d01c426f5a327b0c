"""Every command that README, docs and recipes name has its options and, if it is one of ours, its recipe."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from passerby.cli import app

ROOT = Path(__file__).parents[1]
TEXTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "recipes").rglob("*.yaml")])
COMMAND = re.compile(r"^(?:#\s+)?(?:[A-Z_]+=\S+ )*(passerby [a-z].*)$", re.MULTILINE)


def list_commands(text: str) -> list[list[str]]:
    """The words of each command that stands at the start of a line, continued lines joined."""
    joined = re.sub(r"\s*\\\n#?\s*", " ", text)
    lines = [line.split("; done")[0] for line in COMMAND.findall(joined)]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def check(words: list[str]) -> None:
    """Parse as the command line does; nothing is run."""
    group = typer.main.get_command(app)
    name, command, rest = group.resolve_command(
        group.make_context("passerby", [], resilient_parsing=True), words
    )
    assert command is not None
    try:
        command.make_context(name, rest)
    except Exception as error:
        if "does not exist" not in str(error):  # of a folder that the reader has
            raise
    for word in words:
        if word.startswith("recipes/") and "$" not in word:
            assert (ROOT / word).is_file(), word


def texts_with_commands() -> list[Path]:
    return [path for path in TEXTS if list_commands(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("path", texts_with_commands(), ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_are_valid(path: Path) -> None:
    for words in list_commands(path.read_text(encoding="utf-8")):
        try:
            check(words)
        except Exception as error:
            raise AssertionError(f"passerby {shlex.join(words)}: {error}") from error


def test_a_wrong_option_and_a_missing_recipe_are_found() -> None:
    with pytest.raises(Exception, match="--map"):
        check(["attention", "bundle", "photo.jpg", "--map", "mask"])
    with pytest.raises(AssertionError, match=r"nothing\.yaml"):
        check(["train", "recipes/nothing.yaml"])
    assert list_commands("#   X=1 passerby train a.yaml \\\n#     --test; done  # so") == [
        ["train", "a.yaml", "--test"]
    ]
