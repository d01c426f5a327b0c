"""Print the quality of masks, parsing maps and keypoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from passerby.cli.tables import Line, print_lines

if TYPE_CHECKING:
    from passerby.annotators.quality import Quality

__all__ = ["print_quality"]

_OUTCOMES = {
    "kept": "with a good mask",
    "ones": "without mask (full image)",
    "dropped": "removed",
    "hull": "with the hull of the keypoints",
}


def print_quality(quality: Quality, policy: str | None, counts: Mapping[str, int]) -> None:
    """Print the quality figures, and the number of rows that a policy for missing masks changed."""
    lines = [Line.of(name, (value,)) for name, value in _list_figures(quality)]
    below = []
    if policy is not None:
        outcomes = ", ".join(f"{n:,} {_OUTCOMES[name]}" for name, n in counts.items() if n)
        below.append(f"Rows by --missing {policy}: {outcomes or 'none'}.")
    print_lines(lines, ("Quality", ""), below=below)


def _list_figures(quality: Quality) -> list[tuple[str, str]]:
    """Name and value of each figure; one line for a kind that no row has."""
    masks, parsing, keypoints = quality.masks, quality.parsing, quality.keypoints
    outside = _percent(keypoints.share_outside)
    figures = {
        "masks": [
            ("unreadable", f"{masks.unreadable:,}"),
            ("empty", f"{masks.empty:,}"),
            ("almost empty (< 2 % of the crop)", f"{masks.almost_empty:,}"),
            ("almost full (> 98 %)", f"{masks.almost_full:,}"),
            ("not covering the centre of the crop", f"{masks.off_centre:,}"),
            ("median share of the crop", _percent(masks.median_share)),
        ],
        "parsing": [
            ("unreadable", f"{parsing.unreadable:,}"),
            ("with a single class", f"{parsing.one_class:,}"),
            *((f"share of {name}", _percent(share)) for name, share in parsing.class_shares.items()),
        ],
        "keypoints": [
            (f"mean number with score ≥ {quality.min_score:g} (of 17)", _number(keypoints.mean_confident)),
            ("share of these outside the mask (dilated by 2 % of the height)", outside),
            ("rows with more than a third outside", f"{keypoints.rows_outside:,}"),
        ],
    }
    lines = []
    for kind, found in (("masks", masks), ("parsing", parsing), ("keypoints", keypoints)):
        lines.append((f"rows with {kind}", f"{found.present:,} of {quality.rows:,}"))
        lines += [(f"  {name}", value) for name, value in figures[kind]] if found.present else []
    return lines


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
