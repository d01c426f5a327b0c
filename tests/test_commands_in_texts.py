"""The commands in README, docs and recipes have valid options, values, recipes and recipe keys."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
import typer

from passerby.cli import app
from passerby.config import Recipe
from passerby.config.packaged import find_recipe, list_recipes
from passerby.data.formats import list_formats
from passerby.data.label_map import list_label_maps
from passerby.evaluation.protocols import load_protocol
from passerby.models import list_models

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = [*PAGES, *sorted((ROOT / "recipes").rglob("*.yaml"))]
COMMAND = re.compile(r"^(?:#\s+)?(?:[A-Z_]+=\S+ )*(passerby [a-z].*)$", re.MULTILINE)
INLINE = re.compile(r"`passerby ([a-z-]+)([^`]*)`")
GROUP = typer.main.get_command(app)
TOP = GROUP.make_context("passerby", [], resilient_parsing=True)


def list_commands(text: str) -> list[list[str]]:
    """The words of each command that begins a line; continued lines are joined."""
    joined = re.sub(r"\s*\\\n#?\s*", " ", text)
    lines = [line.split("; done")[0] for line in COMMAND.findall(joined)]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def get_command(name: str) -> click.Command:
    command = GROUP.get_command(TOP, name)
    assert command is not None, f"no command {name}"
    return command


def check(words: list[str]) -> None:
    """Parse a command as the command line does, without running it, and check its values."""
    name, *rest = words
    command = get_command(name)
    try:
        values = command.make_context(name, list(rest)).params
    except Exception as error:
        if "does not exist" not in str(error):  # a file or folder of the reader
            raise
        values = {}
    for option in command.params:
        given = values.get(option.name or "")
        if option.metavar and "|" in option.metavar and given is not None:
            assert given in option.metavar.split("|"), f"{option.name}: {given}"
    check_recipe(name, rest)
    for setting in values.get("overrides") or []:
        check_key(setting)
    if name == "prepare":
        assert rest[0] in list_formats(), rest[0]
    if label_map := values.get("label_map"):
        assert label_map in list_label_maps() or Path(label_map).suffix in (".json", ".yaml"), label_map
    if protocol := values.get("protocol"):
        load_protocol(protocol)
    if name == "models" and values.get("model"):
        assert values["model"] in list_models()


def check_recipe(name: str, words: list[str]) -> None:
    """A recipe is a path in the repository, a file of the reader, or the name of a packaged recipe."""
    for word in words:
        if word.startswith("recipes/") and "$" not in word:
            assert (ROOT / word).is_file(), word
    if not words or "$" in words[0] or words[0].startswith("-") or words[0].endswith(".yaml"):
        return
    if name in ("train", "suite"):
        find_recipe(words[0], "suite" if name == "suite" else "recipe", folder=ROOT / "nowhere")
    elif name == "recipes":
        assert any(f"{each}/".startswith(f"{words[0]}/") for each in list_recipes()), words[0]


def check_key(setting: str) -> None:
    """The key of `--set section.key=value` is one of a recipe."""
    section, key, *_ = setting.split("=", 1)[0].split(".")
    model = Recipe.model_fields[section].annotation
    assert model is not None
    assert key in model.model_fields, f"no recipe key {section}.{key}"


def name_path(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize(
    "path", [path for path in TEXTS if list_commands(path.read_text(encoding="utf-8"))], ids=name_path
)
def test_commands_are_valid(path: Path) -> None:
    for words in list_commands(path.read_text(encoding="utf-8")):
        try:
            check(words)
        except Exception as error:
            raise AssertionError(f"passerby {shlex.join(words)}: {error!r}") from error


@pytest.mark.parametrize("path", PAGES, ids=name_path)
def test_commands_within_sentences_are_valid(path: Path) -> None:
    for name, rest in INLINE.findall(path.read_text(encoding="utf-8")):
        options = {text for each in get_command(name).params for text in (*each.opts, *each.secondary_opts)}
        used = set(re.findall(r"(?<!\S)--[a-z-]+", rest)) - {"--help"}
        assert used <= options, f"passerby {name}: {used - options}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("attention bundle photo.jpg --map mask", "--map"),
        ("train recipes/nothing.yaml", r"nothing\.yaml"),
        ("train baseline/nothing", "baseline/nothing"),
        ("train baseline/own --set data.nothing=1", r"data\.nothing"),
        ("evaluate b --data d --split official-1", "official-1"),
        ("evaluate b --data d --label-map peta-to-nothing", "peta-to-nothing"),
        ("annotate tests/test_init.py --masks-from given", "given"),
    ],
)
def test_invalid_commands_are_found(words: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(Exception, match=message):
        check(words.split())


def test_commands_are_found() -> None:
    assert list_commands("#   X=1 passerby train a.yaml \\\n#     --test; done  # so") == [
        ["train", "a.yaml", "--test"]
    ]
