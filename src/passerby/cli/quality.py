"""How good masks, parsing maps and keypoints are, on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from passerby.annotators.quality import Quality

__all__ = ["print_quality"]

_WORDS = {
    "kept": "with their good mask",
    "ones": "without mask (the whole picture)",
    "dropped": "left out",
    "hull": "with the hull of their keypoints",
}


def print_quality(quality: Quality, policy: str | None, counts: Mapping[str, int], console: Console) -> None:
    """Print the figures of a quality, and how many rows a policy for missing masks changed."""
    table = Table(title="Quality", title_justify="left", show_header=False, pad_edge=False, box=None)
    table.add_column(style="bold")
    table.add_column()
    table.add_column(justify="right")
    for kind, name, value in _list_figures(quality):
        table.add_row(kind, escape(name), value)
    console.print(table)
    if policy is not None:
        parts = ", ".join(f"{n:,} {_WORDS[name]}" for name, n in counts.items() if n)
        console.print(f"Rows by --missing {policy}: {parts or 'none'}.", highlight=False, soft_wrap=True)


def _list_figures(quality: Quality) -> list[tuple[str, str, str]]:
    """Kind (in its first line only), figure and value; kinds that no row has in one line."""
    masks, parsing, keypoints = quality.masks, quality.parsing, quality.keypoints
    outside = _percent(keypoints.share_outside)
    figures = {
        "masks": [
            ("unreadable", f"{masks.unreadable:,}"),
            ("empty", f"{masks.empty:,}"),
            ("almost empty, below 2 % of the crop", f"{masks.almost_empty:,}"),
            ("almost full, above 98 %", f"{masks.almost_full:,}"),
            ("not on the crop's middle", f"{masks.off_centre:,}"),
            ("median share of the crop", _percent(masks.median_share)),
        ],
        "parsing": [
            ("unreadable", f"{parsing.unreadable:,}"),
            ("one class only", f"{parsing.one_class:,}"),
            *((f"share of {name}", _percent(share)) for name, share in parsing.class_shares.items()),
        ],
        "keypoints": [
            (f"mean number with score ≥ {quality.min_score:g}, of 17", _number(keypoints.mean_confident)),
            ("of these outside of the mask (widened by 2 % of the height)", outside),
            ("rows with more than a third outside", f"{keypoints.rows_outside:,}"),
        ],
    }
    lines = []
    for kind, found in (("masks", masks), ("parsing", parsing), ("keypoints", keypoints)):
        present = f"{found.present:,} of {quality.rows:,}"
        lines.append((kind, "rows that have one" if kind != "keypoints" else "rows that have them", present))
        lines += [("", name, value) for name, value in figures[kind]] if found.present else []
    return lines


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
