"""Print the summary of a manifest."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from passerby.data.manifest import SPLITS
from passerby.data.summary import Summary

__all__ = ["print_summary"]

SHOWN = 5
"""Number of missing, unreadable or duplicate images that are listed."""
BAR_WIDTH = 20


def print_summary(summary: Summary, console: Console) -> None:
    """Print counts, attributes, partitions and problems of a data set."""
    console.print(_counts(summary))
    console.print(_attributes(summary))
    if summary.splits:
        console.print(_partitions(summary))
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


def _attributes(summary: Summary) -> Table:
    table = Table(title="Attributes", title_justify="left", header_style="bold", pad_edge=False, box=None)
    table.add_column("attribute", overflow="fold")
    for head in ("present", "absent", "unknown", "% present"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for a in summary.attributes:
        style = "yellow" if not (a.positives and a.negatives) else None
        bar = "█" * round(BAR_WIDTH * a.positive_ratio) or ("▏" if a.positives else "")
        numbers = (f"{a.positives:,}", f"{a.negatives:,}", f"{a.unknown:,}" if a.unknown else "")
        table.add_row(
            escape(a.name), *numbers, f"{100 * a.positive_ratio:.1f}", f"[cyan]{bar}[/]", style=style
        )
    return table


def _partitions(summary: Summary) -> Table:
    table = Table(title="Partitions", title_justify="left", header_style="bold", pad_edge=False, box=None)
    table.add_column("partition", no_wrap=True)
    for split in SPLITS:
        table.add_column(split, justify="right")
    table.add_column("shared identities", justify="right")
    table.add_column("train rows with a shared identity", justify="right")
    for name, splits in summary.splits.items():
        shared = summary.shared.get(name)
        cells = [f"{splits[p]:,}" if p in splits else "–" for p in SPLITS]
        affected = f"{shared.train_rows:,} ({100 * shared.train_share:.0f} %)" if shared else "unknown"
        table.add_row(escape(name), *cells, f"{shared.identities:,}" if shared else "unknown", affected)
    return table


def _print_problems(summary: Summary, console: Console) -> None:
    degenerate = [a.name for a in summary.attributes if not (a.positives and a.negatives)]
    if degenerate:
        _print_list(
            console, f"Attributes that are never present or never absent ({len(degenerate)})", degenerate
        )
    if summary.missing:
        _print_list(console, f"Missing images ({len(summary.missing):,})", summary.missing)
    if summary.check is None:
        console.print("[dim]Images were not read: unreadable images and duplicates are not reported.[/]")
        return
    unreadable, duplicates = summary.check.unreadable, summary.check.duplicates
    if unreadable:
        _print_list(
            console, f"Unreadable images ({len(unreadable):,})", [f"{p}: {why}" for p, why in unreadable]
        )
    if duplicates:
        extra = sum(len(g) - 1 for g in duplicates)
        lines = [" = ".join(g[:SHOWN]) for g in duplicates]
        _print_list(console, f"Images identical to another one byte by byte ({extra:,})", lines)
    if not (unreadable or duplicates or summary.missing):
        console.print("[green]All images in the manifest are readable and distinct.[/]")


def _print_list(console: Console, title: str, lines: list[str]) -> None:
    console.print(f"[yellow]{escape(title)}:[/]", highlight=False, soft_wrap=True)
    for line in lines[:SHOWN]:
        console.print(f"  {escape(line)}", highlight=False, soft_wrap=True)
    if len(lines) > SHOWN:
        console.print(f"  … and {len(lines) - SHOWN:,} more", highlight=False)
