"""Read and validate YAML: `extends`, overrides, environment variables, error messages."""

from __future__ import annotations

import difflib
import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from passerby.config.packaged import Kind, find_recipe
from passerby.config.recipe import Recipe
from passerby.config.sections import Section
from passerby.errors import ConfigError

__all__ = ["create_recipe", "expand", "load_recipe", "merge_overrides", "read_recipe", "validate"]

RENAMED = {
    "Recipe": {
        "data.split": "partition",
        "data.broken": "on_unreadable",
        "data.on_unreadable: stop": "raise",
        "augmentation.hue": "",
        "augmentation.erase": "",
        "model.start_from": "init_from",
        "training.resident": "device_cache",
        "training.device": "accelerator",
        "protocol: honest": "default",
    },
    "SuiteSection": {
        "systems": "models",
        "common": "defaults",
        "models.*.change": "overrides",
        "tests.*.part": "split (and the former split is now partition)",
        "tests.*.names": "label_map",
        "localization.*.part": "split (and the former split is now partition)",
        "localization.*.names": "label_map",
        "localization.*.least_px": "min_area_px",
        "localization.*.method: own": "native",
    },
}
"""Keys, or keys with values, of passerby 0.1 or of other tools and their present names, by section: `*`
stands for a name, an empty string for a removed key."""

EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a section with keys",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "list_type": "a list",
    "literal_error": "{expected}",
    "model_type": "a section with keys",
    "path_type": "a path",
    "string_type": "text",
    "too_long": "a list of at most {max_length}",
    "too_short": "a list of at least {min_length}",
    "tuple_type": "a list",
}
"""What a value should be, in words, by pydantic's type of error, with the names of its context."""

T = TypeVar("T", bound=Section)


def load_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Read and validate a recipe, with `key.sub=value` overrides.

    With `extends: other.yaml` (a path relative to this file, or the name of a packaged recipe), a recipe
    contains only the differences: its sections are merged over those of the other, key by key. A list
    replaces a list. A section that names another model, loss, optimiser or schedule inherits nothing.

    Args:
        path: A YAML file, or the name of a packaged recipe such as `baseline/own`.
            `${NAME}` in a string stands for the environment variable NAME.
        overrides: Such as `optimizer.lr=1e-4`; the value is read as YAML.

    Raises:
        ConfigError: If the file is missing or not valid YAML, recipes extend each other in a circle, a key is
            unknown (the nearest valid one is proposed) or has been renamed, a value is out of range, or an
            environment variable is not set.
    """
    path = find_recipe(path)
    return create_recipe(read_recipe(path), overrides, where=str(path))


def create_recipe(values: dict[str, Any], overrides: Sequence[str] = (), *, where: str) -> Recipe:
    """Validate plain values as a recipe, with overrides and environment variables.

    Args:
        values: Modified by the overrides.
        where: Source of the values, for error messages.
    """
    for override in overrides:
        _apply_override(values, override)
    try:
        return validate(Recipe, expand(values, where), where)
    except ConfigError as error:
        raise ConfigError(_name_overrides(str(error), where, overrides)) from None


def _name_overrides(message: str, where: str, overrides: Sequence[str]) -> str:
    """The message of `validate` with the overrides as its source, if they set all keys it is about."""
    head, *lines = message.splitlines()
    paths = [line.strip().partition(":")[0] for line in lines]
    wrong = [override for override in overrides if any(_sets(override, path) for path in paths)]
    if head != f"{where}:" or not all(any(_sets(override, path) for override in wrong) for path in paths):
        return message
    return "\n".join([f"override {', '.join(wrong)}:", *lines])


def _sets(override: str, path: str) -> bool:
    """Whether an override sets the value at a path, a part of it or a section with it."""
    key = override.partition("=")[0]
    return f"{path}.".startswith(f"{key}.") or key.startswith(f"{path}.")


def read_recipe(
    path: Path,
    above: tuple[Path, ...] = (),
    *,
    what: Kind = "recipe",
    prepare: Callable[[dict[str, Any], Path], None] | None = None,
) -> dict[str, Any]:
    """The plain values of a recipe, merged over those of the recipe that it extends, without validation.

    Args:
        path: An existing file.
        above: Recipes that extend this one.
        what: Kind of file.
        prepare: Called with the values and the path of each file, to modify the values in place.
    """
    values = _read_yaml(path)
    if prepare is not None:
        prepare(values, path)
    base = values.pop("extends", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise ConfigError(f"{path}: extends: expected the path or name of another {what}, got {base!r}")
    chain = (*above, path)
    below = find_recipe(base, what, folder=path.parent, named_in=path)
    if below.resolve() in [each.resolve() for each in chain]:
        raise ConfigError(
            f"{path}: circular extends: {base} extends this {what}; remove `extends` from one of them"
        )
    return merge_overrides(read_recipe(below, chain, what=what, prepare=prepare), values)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of sections, got {type(values).__name__}")
    return values


def merge_overrides(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge one mapping over another, key by key; a mapping with another `name` replaces the one below."""
    if "name" in above and above["name"] != below.get("name"):
        return dict(above)
    both = {**below, **above}
    for key in set(below) & set(above):
        if isinstance(below[key], Mapping) and isinstance(above[key], Mapping):
            both[key] = merge_overrides(below[key], above[key])
    return both


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"expected an override like optimizer.lr=1e-4, got {override!r}")
    *parents, last = key.split(".")
    node: Any = values
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ConfigError(f"override {override!r}: {parent!r} is a value, not a section")
    try:
        node[last] = expand(_number(yaml.safe_load(text)), f"override {override!r}")
    except yaml.YAMLError as error:
        raise ConfigError(f"override {override!r}: the value is not valid YAML: {error}") from error


def _number(value: Any) -> Any:
    """Convert text such as `1e-4`, which YAML 1.1 does not read as a number."""
    return (
        float(value)
        if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value)
        else value
    )


def expand(value: Any, where: str) -> Any:
    """Replace `${NAME}` by environment variables in all text of a value."""
    if isinstance(value, Mapping):
        return {k: expand(v, f"{where}: {k}") for k, v in value.items()}
    if isinstance(value, list):
        return [expand(v, where) for v in value]
    if isinstance(value, str):
        for name in re.findall(r"\$\{(\w+)\}", value):
            if name not in os.environ:
                raise ConfigError(
                    f"{where}: the environment variable {name} is not set; set it, or write a path"
                )
        return _number(re.sub(r"\$\{(\w+)\}", lambda m: os.environ[m[1]], value))
    return value


def validate(model: type[T], values: Mapping[str, Any], where: str) -> T:
    """Validate values as a section.

    Raises:
        ConfigError: With one line for each wrong key or value; for an unknown key it proposes the nearest
            valid one.
    """
    if renamed := list(_find_renamed(model, values)):
        raise ConfigError(f"{where}:\n  " + "\n  ".join(renamed))
    try:
        return model.model_validate(values)
    except ValidationError as error:
        lines = _explain_all(model, error.errors())
        raise ConfigError(f"{where}:\n  " + "\n  ".join(lines)) from None


def _find_renamed(model: type[Section], values: Mapping[str, Any], parent: str = "") -> Iterator[str]:
    """A line for each key or value that has been renamed since passerby 0.1."""
    renamed = RENAMED.get(model.__name__, {})
    for key, value in values.items():
        path = f"{parent}{key}"
        for old, new in renamed.items():
            name, _, old_value = old.partition(": ")
            if name.count(".") == path.count(".") and fnmatchcase(path, name) and old_value in ("", value):
                yield _describe_renamed(path, old_value, new)
        if isinstance(value, Mapping):
            yield from _find_renamed(model, value, f"{path}.")


def _describe_renamed(path: str, old_value: str, new: str) -> str:
    if not new:
        return f"{path}: removed; delete it"
    if old_value:
        return f"{path}: the value {old_value} was renamed to {new}"
    return f"{path}: renamed to {path.rpartition('.')[0]}{'.' if '.' in path else ''}{new}"


def _explain_all(model: type[BaseModel], problems: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each wrong key or value; one for a value that fits none of several types."""
    lines = []
    for _, group in itertools.groupby(problems, key=_locate):
        first, *others = group
        if others and all(each["type"] in EXPECTED for each in (first, *others)):
            words = " or ".join(dict.fromkeys(map(_describe_expected, (first, *others))))
            lines.append(f"{'.'.join(_locate(first))}: expected {words}, got {first['input']!r}")
        else:
            lines += [_explain(model, each) for each in (first, *others)]
    return lines


def _locate(problem: Mapping[str, Any]) -> tuple[str, ...]:
    """The path of the value, without the type that pydantic tried."""
    location = tuple(str(part) for part in problem["loc"])
    return location[:-1] if location and location[-1] in ("bool", "float", "int", "str") else location


def _describe_expected(problem: Mapping[str, Any]) -> str:
    words = EXPECTED.get(problem["type"])
    limits = problem.get("ctx", {}).items()
    plain = {key: int(v) if isinstance(v, float) and v.is_integer() else v for key, v in limits}
    return str(problem["msg"]) if words is None else words.format(**plain)


def _explain(model: type[BaseModel], problem: Mapping[str, Any]) -> str:
    location = [str(part) for part in problem["loc"]]
    path = ".".join(location) or model.__name__.lower()
    if problem["type"] == "extra_forbidden":
        valid = list(_fields_at(model, location[:-1]))
        near = difflib.get_close_matches(location[-1], valid, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"valid keys are {', '.join(valid)}"
        return f"{path}: unknown key; {hint}"
    if problem["type"] == "missing":
        return f"{path}: missing; it has no default"
    if problem["type"] == "value_error":
        return f"{path}: {problem['msg'].removeprefix('Value error, ')}"
    expected = _describe_expected(problem).removeprefix("Input should be ")
    return f"{path}: expected {expected}, got {problem['input']!r}"


def _fields_at(model: type[BaseModel], location: Sequence[str]) -> Sequence[str]:
    keys = iter(location)
    for key in keys:
        annotation = model.model_fields[key].annotation
        if get_origin(annotation) is dict:  # a mapping from names to sections
            next(keys, None)
            annotation = get_args(annotation)[1]
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return ()
        model = annotation
    return tuple(model.model_fields)
