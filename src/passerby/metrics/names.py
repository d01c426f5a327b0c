"""Names of the overall metrics; importing this module does not load torch."""

__all__ = ["METRICS"]

METRICS = ("mA", "accuracy", "precision", "recall", "f1", "mAP")
"""Overall metrics in the order of every table."""
