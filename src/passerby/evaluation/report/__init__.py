"""A report: one self-contained HTML file about runs and evaluations."""

from __future__ import annotations

from passerby.evaluation.report.page import create_report, write_report
from passerby.evaluation.report.sources import Run, Sources, load_comparison, load_sources

__all__ = ["Run", "Sources", "create_report", "load_comparison", "load_sources", "write_report"]
