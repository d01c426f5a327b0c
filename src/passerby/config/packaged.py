"""The recipes and suites that the package contains, by name: `baseline/own`, `suites/peta-128x96`.

The name of a recipe is its path below `recipes/`, without `.yaml`. A wheel contains that folder as
`passerby/recipes/`; an editable install reads it from the checkout.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from passerby.errors import ConfigError

__all__ = ["COMMANDS", "PackagedRecipe", "find_recipe", "list_recipes", "propose", "read_copy"]

Kind = Literal["recipe", "suite"]

SUITES = "suites/"
"""Names that begin so are suites."""

COMMANDS: dict[Kind, str] = {"recipe": "passerby train", "suite": "passerby suite"}


@dataclass(frozen=True, slots=True)
class PackagedRecipe:
    """A recipe or a suite of the package.

    Args:
        name: Such as `baseline/own`.
        path: The file.
    """

    name: str
    path: Path

    @property
    def kind(self) -> Kind:
        """Whether `passerby train` or `passerby suite` runs it."""
        return "suite" if self.name.startswith(SUITES) else "recipe"

    def describe(self) -> str:
        """The first sentence of the comment at the head of the file; empty if there is none."""
        return _read_first_sentence(self.path.read_text(encoding="utf-8"))


def list_recipes() -> dict[str, PackagedRecipe]:
    """All recipes and suites of the package by name, in alphabetical order, recipes first.

    Raises:
        ConfigError: If this installation has no recipes.

    Example:
        >>> list_recipes()["baseline/own"].kind
        'recipe'
    """
    folder = _find_folder()
    found = ((path.relative_to(folder).with_suffix("").as_posix(), path) for path in folder.rglob("*.yaml"))
    ordered = sorted(found, key=lambda each: (each[0].startswith(SUITES), each[0]))
    return {name: PackagedRecipe(name, path) for name, path in ordered}


def find_recipe(
    path: Path | str, kind: Kind = "recipe", *, folder: Path = Path(), named_in: Path | None = None
) -> Path:
    """The file that a path or the name of a packaged recipe stands for; a path that exists comes first.

    Args:
        path: A YAML file, relative to `folder`, or a name such as `baseline/own`.
        kind: `recipe`, or `suite`, whose names begin with `suites/`.
        folder: What a relative path is relative to.
        named_in: The file that refers to this one; stated in the error.

    Raises:
        ConfigError: If there is neither such a file nor a packaged recipe of that name and kind; near names
            are proposed.

    Example:
        >>> find_recipe("baseline/own").name
        'own.yaml'
    """
    if (folder / path).is_file():
        return folder / path
    name = Path(path).as_posix()
    recipe = list_recipes().get(name)
    if recipe is not None and recipe.kind == kind:
        return recipe.path
    where = f", to which {named_in} refers" if named_in else ""
    raise ConfigError(
        f"no {kind} at {folder / path}{where}, and no {kind} of that name in the package; "
        f"{propose(name, kind)}"
    )


def propose(name: str, kind: Kind | None = None) -> str:
    """A hint for the error about a name that the package lacks: near names, of one kind or of both."""
    packaged = list_recipes()
    bare = name.removeprefix("recipes/").removesuffix(".yaml")
    if kind and bare in packaged and packaged[bare].kind != kind:
        other = packaged[bare].kind
        return f"{bare} is a {other}; the command for it is `{COMMANDS[other]} {bare}`"
    names = [each.name for each in packaged.values() if kind in (None, each.kind)]
    files = difflib.get_close_matches(bare, {each.split("/")[-1] for each in names}, n=3, cutoff=0.6)
    near = [bare] if bare in names else difflib.get_close_matches(bare, names, n=3, cutoff=0.6)
    near = near or sorted((each for each in names if each.split("/")[-1] in files), key=len)[:3]
    near = near or sorted((each for each in names if bare in each), key=len)[:3]
    proposal = f"did you mean {' or '.join(near)}? " if near else ""
    return proposal + "`passerby recipes` lists all"


def read_copy(recipe: PackagedRecipe) -> str:
    """The text of a recipe such that it works in any folder: paths of packaged recipes become their names."""
    packaged = list_recipes()
    root = _find_folder().resolve()

    def rename(found: re.Match[str]) -> str:
        path = Path(found[0].removeprefix("recipes/"))
        folder = root if found[0].startswith("recipes/") else recipe.path.resolve().parent
        target = (folder / path).resolve()
        if not target.is_relative_to(root):
            return found[0]
        name = target.relative_to(root).with_suffix("").as_posix()
        return name if name in packaged else found[0]

    return re.sub(r"[\w./-]*[\w-]\.yaml\b", rename, recipe.path.read_text(encoding="utf-8"))


def _find_folder() -> Path:
    """`recipes/` in the installed package, or at the root of the checkout."""
    package = Path(__file__).parents[1]
    for folder in (package / "recipes", package.parents[1] / "recipes"):
        if folder.is_dir():
            return folder
    raise ConfigError(
        f"no recipes in {package}: the installation is incomplete; install passerby again, from a wheel or "
        "with `pip install --editable` from a checkout"
    )


def _read_first_sentence(text: str) -> str:
    lines = []
    for line in text.splitlines():
        if not re.match(r"# ?\S", line):  # the end of the comment, or an indented command
            break
        lines.append(line.removeprefix("#").strip())
    return re.split(r"(?<=[.?!])(?<!al\.) (?=[A-Z])", " ".join(lines), maxsplit=1)[0]
