from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from passerby.cli.option_groups import expand_option_groups

runner = CliRunner()


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeOptions:
    height: Annotated[int, typer.Option(min=1, help="Height in pixels.")] = 256
    width: Annotated[int, typer.Option("--breadth", help="Width in pixels.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    tags: Annotated[list[str], typer.Option("--tag", help="A tag.")] = field(default_factory=list)
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace it.")] = False


def draw(
    name: Annotated[str, typer.Argument(help="What to draw.")],
    size: SizeOptions,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
    *,
    output: OutputOptions,
) -> str:
    """Draw something."""
    text = f"{name} {size.height}x{size.width} {seed} {','.join(output.tags)} {output.overwrite}"
    typer.echo(text)
    return text


def create_app(command: Callable[..., object]) -> typer.Typer:
    app = typer.Typer(rich_markup_mode=None)
    app.command()(command)
    return app


def test_typer_reads_the_fields_as_options() -> None:
    app = create_app(expand_option_groups(draw))
    result = runner.invoke(app, ["hat", "--breadth", "9", "--tag", "a", "--tag", "b", "--overwrite"])
    assert result.exit_code == 0, result.output
    assert result.output == "hat 256x9 0 a,b True\n"


def test_help_lists_options_in_the_order_of_parameters_and_fields() -> None:
    result = runner.invoke(create_app(expand_option_groups(draw)), ["--help"])
    names = ["--height", "--breadth", "--seed", "--tag", "--overwrite"]
    positions = [result.output.index(name) for name in names]
    assert positions == sorted(positions)
    assert "Draw something." in result.output
    assert "[default: 256; x>=1]" in result.output


def test_required_and_limited_options_stay_so() -> None:
    app = create_app(expand_option_groups(draw))
    assert "Missing option '--breadth'" in runner.invoke(app, ["hat"]).output
    assert runner.invoke(app, ["hat", "--breadth", "9", "--height", "0"]).exit_code == 2


def test_the_command_can_be_called_from_python() -> None:
    expanded = expand_option_groups(draw)
    assert expanded(name="bag", width=3, seed=2) == "bag 256x3 2  False"
    assert list(inspect.signature(expanded).parameters) == [
        "name",
        "height",
        "width",
        "seed",
        "tags",
        "overwrite",
    ]


def test_two_options_of_one_name_are_refused() -> None:
    def twice(size: SizeOptions, height: int = 1) -> None: ...

    with pytest.raises(TypeError, match="twice: several options are named height"):
        expand_option_groups(twice)


def test_a_default_of_a_group_is_refused() -> None:
    def default(output: OutputOptions = OutputOptions()) -> None: ...

    with pytest.raises(TypeError, match="the option group 'output' must not have a default"):
        expand_option_groups(default)
