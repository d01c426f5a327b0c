"""Print the summary of a manifest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from passerby.cli.output import create_console
from passerby.cli.tables import Line, print_lines
from passerby.data.crop_check import MIN_CROP_PX
from passerby.data.manifest import SPLITS
from passerby.data.summary import Summary
from passerby.io import list_some

__all__ = ["print_summary"]

SHOWN = 5
"""Number of cases that are listed for each problem."""
FEW_ROWS = 100
"""Rows of val or test below which scores are coarse: one row changes an accuracy by over 1 %."""
BAR_WIDTH = 20
WIDE = 80
"""Characters in a line from which the table of attributes has bars."""


def print_summary(summary: Summary) -> None:
    """Print counts, attributes, partitions and problems of a data set."""
    console = create_console()
    console.print(_counts(summary))
    console.print(_attributes(summary, bars=console.width >= WIDE))
    if summary.splits:
        _print_partitions(summary)
        _print_small_splits(summary, console)
    _print_problems(summary, console)


def _counts(summary: Summary) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    grid.add_row("data set", f"[bold]{escape(summary.dataset)}[/]")
    pictures = "" if summary.images == summary.rows else f" in {summary.images:,} images"
    grid.add_row("rows (persons)", f"{summary.rows:,}{pictures}")
    grid.add_row("attributes", f"{len(summary.attributes)}")
    unknown = sum(a.unknown for a in summary.attributes)
    cells = summary.rows * len(summary.attributes)
    share = f" ({100 * unknown / cells:.2f} % of the labels)" if unknown else ""
    grid.add_row("unknown labels", f"{unknown:,}{share}")
    known = f"{summary.identities:,}" if summary.identities else "unknown"
    without = (
        f", {summary.without_identity:,} rows without"
        if summary.identities and summary.without_identity
        else ""
    )
    grid.add_row("identities", known + without)
    grid.add_row("cameras", f"{summary.cameras}" if summary.cameras else "unknown")
    auxiliary = ", ".join(f"{name} {n:,}" for name, n in summary.guidance.items() if n)
    grid.add_row("boxes and auxiliary inputs", auxiliary or "none")
    return grid


def _attributes(summary: Summary, *, bars: bool) -> Table:
    table = Table(title="Attributes", title_justify="left", header_style="bold", pad_edge=False, box=None)
    table.add_column("attribute", overflow="fold")
    for head in ("present", "absent", "unknown", "% present"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for a in summary.attributes:
        style = "yellow" if not (a.positives and a.negatives) else None
        bar = "█" * round(BAR_WIDTH * a.positive_ratio) or ("▏" if a.positives else "") if bars else ""
        numbers = (f"{a.positives:,}", f"{a.negatives:,}", f"{a.unknown:,}" if a.unknown else "")
        table.add_row(
            escape(a.name), *numbers, f"{100 * a.positive_ratio:.1f}", f"[cyan]{bar}[/]", style=style
        )
    return table


def _print_partitions(summary: Summary) -> None:
    heads: tuple[str, ...] = ("partition", *SPLITS)
    if summary.shared:
        heads += ("shared", "in train")
    lines = []
    for name, splits in summary.splits.items():
        cells: list[tuple[str, ...]] = [(f"{splits[p]:,}" if p in splits else "–",) for p in SPLITS]
        if shared := summary.shared.get(name):
            share = f"({100 * shared.train_share:.0f} %)"
            cells += [(f"{shared.identities:,}",), (f"{shared.train_rows:,}", share)]
        lines.append(Line(name, cells))
    note = "shared: identities in several splits; in train: training rows of such identities"
    print_lines(lines, heads, above=("Partitions",), below=(note,) if summary.shared else ())


def _print_small_splits(summary: Summary, console: Console) -> None:
    for partition, splits in summary.splits.items():
        small = [f"{split} {splits[split]:,}" for split in SPLITS[1:] if 0 < splits.get(split, 0) < FEW_ROWS]
        if small:
            text = f"{partition}: few rows ({', '.join(small)}), so scores on them are coarse"
            console.print(text, markup=False)


def _print_problems(summary: Summary, console: Console) -> None:
    for title, lines in _label_problems(summary):
        _print_list(console, title, lines)
    problems = [*_split_problems(summary), *_image_problems(summary)]
    for title, lines in problems:
        _print_list(console, title, lines)
    if summary.check is None:
        console.print(
            "[dim]Images were not read: unreadable images, copies, near-duplicates and boxes that leave "
            "their image are not reported.[/]"
        )
    elif not problems:
        state = "readable, distinct and in one split only" if summary.splits else "readable and distinct"
        console.print(f"[green]All images in the manifest are {state}.[/]")


Problem: TypeAlias = tuple[str, list[str]]
"""What is wrong, and the cases."""


def _label_problems(summary: Summary) -> Iterator[Problem]:
    unmeasured = [a.name for a in summary.attributes if not (a.positives and a.negatives)]
    if unmeasured:
        yield f"Attributes that are never present or never absent ({len(unmeasured)})", unmeasured
    for partition, splits in summary.unmeasured.items():
        lines = [
            f"{split}: "
            + "; ".join(
                f"{what} {list_some(names)}"
                for what, names in (
                    ("never present", found.never_present),
                    ("never absent", found.never_absent),
                    ("no known label of", found.unknown),
                )
                if names
            )
            for split, found in splits.items()
        ]
        if lines:
            yield f"Attributes of {partition} that cannot be measured, left out of mA on this split", lines
    lines = [
        f"{partition}: {shared.identities:,} identities"
        for partition, shared in summary.shared.items()
        if shared.identities
    ]
    if lines:
        yield "Identities in several splits; --partition identity-disjoint separates them", lines


def _split_problems(summary: Summary) -> Iterator[Problem]:
    for partition, overlaps in summary.overlaps.items():
        if overlaps:
            lines = [f"{list_some(o.images, separator=' = ')}: {', '.join(o.splits)}" for o in overlaps]
            yield (
                f"Images of {partition} in several splits ({len(overlaps):,}); correct the splits, or add "
                "--partition random",
                lines,
            )
    for partition, near in summary.near_duplicates.items():
        if near.images:
            lines = [f"{p.images[0]} ({p.splits[0]}) ≈ {p.images[1]} ({p.splits[1]})" for p in near.examples]
            yield (
                f"Images of {partition} that look like one in another split, by perceptual hash "
                f"({near.images:,}), such as",
                lines,
            )


def _image_problems(summary: Summary) -> Iterator[Problem]:
    if summary.missing:
        similar = summary.similar
        hint = (
            f"; {len(similar):,} found under a similar name: rename them or correct the paths"
            if similar
            else ""
        )
        lines = [f"{p} (found {similar[p]})" if p in similar else p for p in summary.missing]
        yield f"Missing images ({len(lines):,}){hint}", lines
    if summary.contradictions:
        lines = [
            f"{list_some(c.images, separator=' = ')}: {list_some(c.attributes)}"
            for c in summary.contradictions
        ]
        yield f"Same image and box, but contradictory labels ({len(lines):,})", lines
    if summary.repeated_rows:
        yield f"Rows with the image and box of an earlier row: {summary.repeated_rows:,}", []
    if summary.check is None:
        return
    unreadable, duplicates, crops = summary.check.unreadable, summary.check.duplicates, summary.check.crops
    if unreadable:
        yield f"Unreadable images ({len(unreadable):,})", [f"{p}: {why}" for p, why in unreadable]
    if duplicates:
        extra = sum(len(g) - 1 for g in duplicates)
        lines = [list_some(g, separator=" = ") for g in duplicates]
        yield f"Images identical to another one byte by byte ({extra:,})", lines
    for title, lines in (
        ("Boxes outside the image, whose rows cannot be used", crops.outside),
        ("Boxes partly outside the image, clipped to it", crops.clipped),
        (f"Crops with a side below {MIN_CROP_PX} pixels", crops.small),
    ):
        if lines:
            yield f"{title} ({len(lines):,})", lines


def _print_list(console: Console, title: str, lines: list[str]) -> None:
    console.print(f"[yellow]{escape(title)}{':' if lines else '.'}[/]", highlight=False)
    for line in lines[:SHOWN]:
        console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)
    if len(lines) > SHOWN:
        console.print(f"  … and {len(lines) - SHOWN:,} more", highlight=False)
