"""`passerby models`: parameters and multiply-accumulates of every model, beside the papers' figures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from passerby.models.complexity import Count
    from passerby.models.published import Setting

__all__ = ["models"]

UNIT = "1 GMAC = 2 GFLOPs"
HEADINGS: tuple[str, ...] = (
    *("model", "backbone", "attributes", "params, M", "paper", "ratio", "over baseline"),
    *("input", "GMACs", "paper", "ratio", "over baseline", "figures of"),
)
TEXTS = ("model", "backbone", "figures of")


def models(
    model: Annotated[str | None, typer.Option(help="Only this model, such as diaa.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Only this backbone; any network of timm.")] = None,
    size: Annotated[str | None, typer.Option(help="Input as height x width in pixels, 256x192.")] = None,
    attributes: Annotated[int | None, typer.Option(min=1, help="Number of attributes.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print parameters and GMACs of every model, beside the papers' figures.

    Without --size and --attributes: at the settings of the papers (else 224x224 and 35 attributes).
    Nothing is trained, loaded or computed; convolutions and matrix products are counted.
    """
    counts, refused = _count(model, backbone, size, attributes)
    if as_json:
        typer.echo(json.dumps({"counts": [c.to_dict() for c in counts], "refused": refused}, indent=1))
        return
    if markdown:
        typer.echo("\n".join(_format_markdown(counts)))
    else:
        from rich.console import Console

        console = Console()
        for chosen in (
            [c for c in counts if c.baseline is None],
            [c for c in counts if c.baseline is not None],
        ):
            if chosen:
                console.print(_draw_table(chosen))
    for line in refused:
        typer.echo(f"not counted: {line}", err=True)


def _count(
    model: str | None, backbone: str | None, size: str | None, attributes: int | None
) -> tuple[list[Count], list[str]]:
    """Counts, and which models cannot use the backbone; an error if none can."""
    from passerby.errors import ModelError
    from passerby.models import MODELS
    from passerby.models.complexity import count_setting
    from passerby.models.published import select_settings

    if model is not None and model not in MODELS:
        raise ModelError(f"no model {model!r}; there is {', '.join(sorted(MODELS))}")
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
        setting.backbone,
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
    return ["| " + " | ".join(row) + " |" for row in rows] + ["", f"{UNIT}; ratio = ours / paper."]


def _describe(settings: Sequence[Setting]) -> str:
    """Input size and attributes, if all lines share them."""
    size, attributes = settings[0].size_px, settings[0].attributes
    if all((s.size_px, s.attributes) == (size, attributes) for s in settings):
        return f"input {size[0]}×{size[1]}, {attributes} attributes, {UNIT}"
    return f"input and number of attributes as in each line, {UNIT}"


def _draw_table(counts: Sequence[Count]) -> Table:
    """Baselines beside the papers, or models beside the baseline."""
    from rich import box
    from rich.table import Table

    is_baseline = counts[0].baseline is None
    subject = "Baselines and what papers print for them" if is_baseline else "Models over their baseline"
    table = Table(
        title=f"{subject}\n{_describe([c.setting for c in counts])}",
        title_justify="left",
        box=box.SIMPLE,
        collapse_padding=True,
        pad_edge=False,
    )
    rows = [_cells(count) for count in counts]
    shown = [i for i, heading in enumerate(HEADINGS) if any(row[i] not in ("–", "baseline") for row in rows)]
    for i in shown:
        folds = HEADINGS[i] in ("backbone", "figures of")
        table.add_column(
            HEADINGS[i].replace(" ", "\n").replace("attributes", "attri-\nbutes"),
            justify="left" if HEADINGS[i] in TEXTS else "right",
            overflow="fold",
            no_wrap=not folds,  # numbers stay whole on a narrow screen
        )
    for row in rows:
        table.add_row(*(row[i] for i in shown))
    return table
