"""Reports: one self-contained HTML file about runs, evaluations and comparisons."""

from __future__ import annotations

from passerby.report.inputs import Run, Sources, load_sources
from passerby.report.page import create_report, write_report

__all__ = [
    "Run",
    "Sources",
    "create_report",
    "load_sources",
    "write_report",
]
