"""A table of scores with their differences, for Markdown and the terminal."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Cell", "ScoreTable"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A score and its difference to the baseline, as text.

    Args:
        value: Mean and standard deviation over the seeds; the latter is empty for a single seed, and if the
            cell is a count or a text.
        difference: Empty if there is none, as the next two.
        interval: Interval of the difference.
        share: Share of the resamples in which it is 0 or less, in per cent; empty in tables by attribute.
        more: Further values, one per line.

    Example:
        >>> Cell(("81.20", "± 0.30"), "+1.23", "[+0.40, +2.10]", "0.3").to_lines()
        ('81.20 ± 0.30', ('+1.23 [+0.40, +2.10]', '≤ 0: 0.3 %'))
    """

    value: tuple[str, str]
    difference: str = ""
    interval: str = ""
    share: str = ""
    more: tuple[str, ...] = ()

    def to_lines(self) -> tuple[str, tuple[str, ...]]:
        """The score, and the lines below it."""
        below = f"{self.difference} {self.interval}".strip(), f"≤ 0: {self.share} %" if self.share else ""
        return " ".join(self.value).strip(), tuple(line for line in (*self.more, *below) if line)

    def format(self) -> str:
        """The cell of a Markdown table."""
        value, below = self.to_lines()
        return "<br>".join(line for line in (value, *below) if line)


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """A table of cells.

    Args:
        heads: Headings of the columns.
        rows: For each row its name and the cells of the other columns.

    Example:
        >>> table = ScoreTable(("run", "mA"), (("man", (Cell(("81.20", "")),)),))
        >>> print(table.format_markdown(), end="")
        | run | mA |
        |---|---:|
        | man | 81.20 |
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]

    def format_markdown(self) -> str:
        """The table in Markdown."""
        lines = ["| " + " | ".join(self.heads) + " |", "|---|" + "---:|" * (len(self.heads) - 1)]
        lines += [
            "| " + " | ".join((name, *(cell.format() for cell in cells))) + " |" for name, cells in self.rows
        ]
        return "\n".join(lines) + "\n"
