"""Reports: one self-contained HTML file about runs, evaluations and comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING

from passerby.lazy import load_lazily

if TYPE_CHECKING:
    from passerby.report.inputs import Run, Sources, load_sources
    from passerby.report.page import create_report, write_report

__all__ = [
    "Run",
    "Sources",
    "create_report",
    "load_sources",
    "write_report",
]

__getattr__ = load_lazily(
    __name__,
    {
        "Run": "inputs",
        "Sources": "inputs",
        "create_report": "page",
        "load_sources": "inputs",
        "write_report": "page",
    },
)
