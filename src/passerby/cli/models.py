"""`passerby models`: parameters and multiply-accumulates of the models, next to the papers' figures."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from passerby.cli.output import JsonOption, print_json
from passerby.terminal import choose_width

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["models"]

STORED = Path(__file__).parents[1] / "models" / "counts.json"
"""Counts at the settings of the papers, from `passerby models --recount --json`; without them, the command
would import timm and count for half a minute."""

UNIT = "1 GMAC = 2 GFLOPs"
HEADINGS: tuple[str, ...] = (
    *("model", "backbone", "attributes", "params, M", "paper", "ratio", "over baseline"),
    *("input", "GMACs", "paper", "ratio", "over baseline", "figures of"),
)
TEXTS = ("model", "backbone", "figures of")
_ALL = (0, 2, 7, 3, 4, 5, 6, 8, 9, 10, 11, 12)
_BASELINES, _OTHERS = (12, 2, 7, 3, 4, 5, 8, 9, 10), (0, 2, 7, 3, 4, 6, 8, 9, 11)
"""Columns on a wide and on a narrow terminal, as indices of `HEADINGS`; the backbone is above its rows."""
_FIRST_COLUMN = 19
"""Characters after which the first column wraps on a narrow terminal."""
_TWO_LINES = {
    "attributes": ("attri-", "butes"),
    "params, M": ("params,", "M"),
    "over baseline": ("over", "baseline"),
}

Count = dict[str, Any]
"""The values of `passerby.models.complexity.Count.to_dict`."""


def models(
    model: Annotated[str | None, typer.Option(help="Only this model, such as diaa.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Only this backbone; any timm model name.")] = None,
    size: Annotated[
        str | None, typer.Option(help="Input as height x width in pixels, such as 256x192.")
    ] = None,
    attributes: Annotated[int | None, typer.Option(min=1, help="Number of attributes.")] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print one Markdown table with all columns.")
    ] = False,
    as_json: JsonOption = False,
    recount: Annotated[
        bool, typer.Option("--recount", help="Count the papers' settings again, with the installed timm.")
    ] = False,
) -> None:
    """Print parameters and GMACs of every model, next to the papers' figures.

    By default, each paper's settings, whose counts are stored; 224x224 and 35 attributes where a paper has
    none. Only convolutions and matrix products are counted; nothing is trained or downloaded.
    """
    from passerby.cli.compare import check_form

    check_form(markdown, as_json)
    size_px = None if size is None else _parse_size(size)
    found = None
    if size_px is None and attributes is None and not recount:
        found = _select_stored(model, backbone)
    if found is None:
        found = _count(model, backbone, size_px, attributes)
    if as_json:
        print_json(found)
    elif markdown:
        typer.echo("\n".join(_format_markdown(found["counts"])))
    else:
        baselines = [count for count in found["counts"] if count["model"] == "baseline"]
        others = [count for count in found["counts"] if count["model"] != "baseline"]
        width = choose_width(sys.stdout)
        lines = _format_table("Baselines", baselines, _BASELINES, width)
        lines += _format_table("Models compared with their baseline", others, _OTHERS, width)
        typer.echo("\n".join(lines))
    for line in found["refused"]:
        typer.echo(f"not counted: {line}", err=True)


def _select_stored(model: str | None, backbone: str | None) -> dict[str, Any] | None:
    """The stored counts of a model and a backbone (None: all); None if those of a model are not stored."""
    stored: dict[str, Any] = json.loads(STORED.read_text(encoding="utf-8"))
    counts = [count for count in stored["counts"] if model in (None, count["model"])]
    chosen = [count for count in counts if backbone in (None, count["backbone"])]
    complete = {count["model"] for count in chosen} == {count["model"] for count in counts}
    return {**stored, "counts": chosen} if chosen and complete else None


def _count(
    model: str | None, backbone: str | None, size_px: tuple[int, int] | None, attributes: int | None
) -> dict[str, Any]:
    """Counts, and which models cannot use the backbone; an error if none can."""
    import timm

    from passerby.errors import ModelError
    from passerby.models import MODELS, check_model_name
    from passerby.models.complexity import count_setting
    from passerby.models.published import select_settings

    if model is not None:
        check_model_name(model)
    settings = select_settings(
        (model,) if model else tuple(MODELS), backbone=backbone, size_px=size_px, attributes=attributes
    )
    counts: list[Count] = []
    refused: list[str] = []
    for setting in settings:
        try:
            counts.append(count_setting(setting).to_dict())
        except ModelError as error:
            if len(settings) == 1 or (not counts and setting is settings[-1]):
                raise
            refused.append(f"{setting.variant or setting.model} on {setting.backbone}: {error}")
    return {"timm": timm.__version__, "counts": counts, "refused": refused}


def _parse_size(text: str) -> tuple[int, int]:
    """Height and width in pixels."""
    from passerby.errors import ConfigError

    sides = text.lower().replace("×", "x").split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise ConfigError(f"expected --size as height x width in pixels, such as 256x192, got {text!r}")
    return int(sides[0]), int(sides[1])


def _cells(count: Mapping[str, Any]) -> tuple[str, ...]:
    """One line of the table, in the order of `HEADINGS`."""
    return (
        count["variant"] or count["model"],
        count["backbone"] or "–",
        str(count["attributes"]),
        f"{count['parameters'] / 1e6:.2f}",
        _format(count["published_parameters"], ".2f"),
        _format(count["parameters_ratio"], ".3f"),
        _format(count["parameters_overhead"], "+.2%"),
        "×".join(map(str, count["size_px"])),
        f"{count['macs'] / 1e9:.3f}",
        _format(count["published_gmacs"], ".2f"),
        _format(count["gmacs_ratio"], ".3f"),
        _format(count["gmacs_overhead"], "+.2%"),
        count["source"] or "–",
    )


def _format(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}".replace("%", " %")


def _format_markdown(counts: Sequence[Count]) -> list[str]:
    rules = ["---" if name in TEXTS else "--:" for name in HEADINGS]
    rows = (HEADINGS, rules, *(_cells(count) for count in counts))
    return ["| " + " | ".join(row) + " |" for row in rows] + ["", f"{UNIT}; ratio = count / paper."]


def _format_table(title: str, counts: Sequence[Count], narrow: Sequence[int], width: int) -> list[str]:
    """Lines in blocks by backbone: all columns if they fit in `width`, else the narrow ones in 80."""
    if not counts:
        return []
    rows = [_cells(count) for count in counts]
    wide = _format_columns(rows, _ALL, max(len(row[0]) for row in rows))
    fits = max(map(len, wide)) <= width
    lines = wide if fits else _format_columns(rows, narrow, _FIRST_COLUMN)
    return [f"{title} ({UNIT})", "", *lines, ""]


def _format_columns(rows: Sequence[tuple[str, ...]], columns: Sequence[int], first_width: int) -> list[str]:
    """Lines with headings; columns without any value are left out."""
    first, *others = columns
    others = [i for i in others if any(row[i] != "–" for row in rows)]
    headings = [_TWO_LINES.get(HEADINGS[i], ("", HEADINGS[i])) for i in others]
    widths = [
        max(len(text) for text in (*heading, *(row[i] for row in rows)))
        for i, heading in zip(others, headings, strict=True)
    ]

    def join(start: str, cells: Sequence[str]) -> str:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        return " ".join([start.ljust(first_width), *padded]).rstrip()

    lines = [join("", [upper for upper, _ in headings])]
    lines.append(join(HEADINGS[first], [lower for _, lower in headings]))
    for backbone in dict.fromkeys(row[1] for row in rows):
        lines += ["", f"[{backbone}]"]
        for row in rows:
            if row[1] == backbone:
                start, *rest = textwrap.wrap(row[first], first_width)
                lines += [join(start, [row[i] for i in others]), *rest]
    return lines
