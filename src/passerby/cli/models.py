"""`passerby models`: parameters and multiply-accumulates of the models, next to the papers' figures."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from passerby.models.complexity import Count

__all__ = ["models"]

UNIT = "1 GMAC = 2 GFLOPs"
HEADINGS: tuple[str, ...] = (
    *("model", "backbone", "attributes", "params, M", "paper", "ratio", "over baseline"),
    *("input", "GMACs", "paper", "ratio", "over baseline", "figures of"),
)
TEXTS = ("model", "backbone", "figures of")
_BASELINES, _MODELS = (12, 2, 7, 3, 4, 5, 8, 9, 10), (0, 2, 7, 3, 4, 6, 8, 9, 11)
"""Columns on the terminal, as indices of `HEADINGS`; the backbone is a line above its rows."""
_FIRST_COLUMN = 19
"""Characters after which the first column on the terminal wraps."""
_TWO_LINES = {
    "attributes": ("attri-", "butes"),
    "params, M": ("params,", "M"),
    "over baseline": ("over", "baseline"),
}


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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print parameters and GMACs of every model, next to the papers' figures.

    By default, each paper's settings; 224x224 and 35 attributes where a paper has none.
    Only convolutions and matrix products are counted; nothing is trained or downloaded.
    """
    counts, refused = _count(model, backbone, size, attributes)
    if as_json:
        typer.echo(json.dumps({"counts": [c.to_dict() for c in counts], "refused": refused}, indent=1))
        return
    if markdown:
        typer.echo("\n".join(_format_markdown(counts)))
    else:
        baselines = [c for c in counts if c.setting.model == "baseline"]
        others = [c for c in counts if c.setting.model != "baseline"]
        if baselines:
            typer.echo("\n".join(_format_table("Baselines", baselines, _BASELINES)))
        if others:
            typer.echo("\n".join(_format_table("Models compared with their baseline", others, _MODELS)))
    for line in refused:
        typer.echo(f"not counted: {line}", err=True)


def _count(
    model: str | None, backbone: str | None, size: str | None, attributes: int | None
) -> tuple[list[Count], list[str]]:
    """Counts, and which models cannot use the backbone; an error if none can."""
    from passerby.errors import ModelError
    from passerby.models import MODELS, check_model_name
    from passerby.models.complexity import count_setting
    from passerby.models.published import select_settings

    if model is not None:
        check_model_name(model)
    settings = select_settings(
        (model,) if model else tuple(MODELS),
        backbone=backbone,
        size_px=_parse_size(size) if size else None,
        attributes=attributes,
    )
    counts: list[Count] = []
    refused: list[str] = []
    for setting in settings:
        try:
            counts.append(count_setting(setting))
        except ModelError as error:
            if len(settings) == 1 or (not counts and setting is settings[-1]):
                raise
            refused.append(f"{setting.variant or setting.model} on {setting.backbone}: {error}")
    return counts, refused


def _parse_size(text: str) -> tuple[int, int]:
    """Height and width in pixels."""
    from passerby.errors import ConfigError

    sides = text.lower().replace("×", "x").split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise ConfigError(f"expected --size as height x width in pixels, such as 256x192, got {text!r}")
    return int(sides[0]), int(sides[1])


def _cells(count: Count) -> tuple[str, ...]:
    """One line of the table, in the order of `HEADINGS`."""
    setting = count.setting
    return (
        setting.variant or setting.model,
        setting.backbone or "–",
        str(setting.attributes),
        f"{count.counted.parameters / 1e6:.2f}",
        _format(setting.parameters, ".2f"),
        _format(count.parameters_ratio, ".3f"),
        _format(count.parameters_overhead, "+.2%"),
        "×".join(map(str, setting.size_px)),
        f"{count.counted.macs / 1e9:.3f}",
        _format(setting.gmacs, ".2f"),
        _format(count.gmacs_ratio, ".3f"),
        _format(count.gmacs_overhead, "+.2%"),
        setting.source or "–",
    )


def _format(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}".replace("%", " %")


def _format_markdown(counts: Sequence[Count]) -> list[str]:
    rules = ["---" if name in TEXTS else "--:" for name in HEADINGS]
    rows = (HEADINGS, rules, *(_cells(count) for count in counts))
    return ["| " + " | ".join(row) + " |" for row in rows] + ["", f"{UNIT}; ratio = count / paper."]


def _format_table(title: str, counts: Sequence[Count], columns: Sequence[int]) -> list[str]:
    """Lines of at most 80 characters, in blocks by backbone; columns without any value are left out."""
    rows = [_cells(count) for count in counts]
    first, *others = columns
    others = [i for i in others if any(row[i] != "–" for row in rows)]
    headings = [_TWO_LINES.get(HEADINGS[i], ("", HEADINGS[i])) for i in others]
    widths = [
        max(len(text) for text in (*heading, *(row[i] for row in rows)))
        for i, heading in zip(others, headings, strict=True)
    ]

    def join(start: str, cells: Sequence[str]) -> str:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        return " ".join([start.ljust(_FIRST_COLUMN), *padded]).rstrip()

    lines = [f"{title} ({UNIT})", "", join("", [upper for upper, _ in headings])]
    lines.append(join(HEADINGS[first], [lower for _, lower in headings]))
    for backbone in dict.fromkeys(row[1] for row in rows):
        lines += ["", f"[{backbone}]"]
        for row in rows:
            if row[1] == backbone:
                start, *rest = textwrap.wrap(row[first], _FIRST_COLUMN)
                lines += [join(start, [row[i] for i in others]), *rest]
    return [*lines, ""]
