"""Option groups: dataclasses whose fields become options of a command."""

from __future__ import annotations

import functools
import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from inspect import Parameter
from typing import Any, TypeVar, get_type_hints

__all__ = ["expand_option_groups"]

Result = TypeVar("Result")


def expand_option_groups(command: Callable[..., Result]) -> Callable[..., Result]:
    """Replace each parameter whose type is a dataclass by one option for each field of the dataclass.

    A command with many options receives them in groups:

        @dataclass(frozen=True, slots=True, kw_only=True)
        class OutputOptions:
            out: Annotated[Path, typer.Option(help="File to write.")]
            overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace it.")] = False

        @expand_option_groups
        def export(manifest: Annotated[Path, typer.Argument()], output: OutputOptions) -> None: ...

    The decorated command has the flat signature that Typer reads, in the order of the parameters and of the
    fields: `export(*, manifest, out, overwrite=False)`. It builds the groups and calls the original command.

    Args:
        command: Annotations must be resolvable at run time in the module of the command, those of a group in
            the module of the group.

    Raises:
        TypeError: If two options have the same name, or a parameter that is a group has a default.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type] = {}
    options: list[Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        hint = hints[name]
        if isinstance(hint, type) and is_dataclass(hint):
            if parameter.default is not Parameter.empty:
                raise TypeError(f"{command.__name__}: the option group {name!r} must not have a default")
            groups[name] = hint
            options += _list_options(hint)
        else:
            options.append(parameter.replace(kind=Parameter.KEYWORD_ONLY, annotation=hint))
    counts = Counter(option.name for option in options)
    if doubles := [name for name, count in counts.items() if count > 1]:
        raise TypeError(f"{command.__name__}: several options are named {', '.join(doubles)}")

    @functools.wraps(command)
    def expanded(**values: Any) -> Result:
        built = {
            name: group(**{f.name: values.pop(f.name) for f in fields(group) if f.name in values})
            for name, group in groups.items()
        }
        return command(**values, **built)

    signature = inspect.Signature(options, return_annotation=hints.get("return", Parameter.empty))
    expanded.__signature__ = signature  # type: ignore[attr-defined]
    expanded.__annotations__ = {option.name: option.annotation for option in options}
    return expanded


def _list_options(group: type) -> Iterator[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for field in fields(group):
        yield Parameter(
            field.name, Parameter.KEYWORD_ONLY, default=_find_default(field), annotation=hints[field.name]
        )


def _find_default(field: Field[Any]) -> Any:
    if field.default is not MISSING:
        return field.default
    if field.default_factory is not MISSING:
        return field.default_factory()
    return Parameter.empty
