"""Create masks, parsing maps and keypoints of persons, and measure their quality.

Importing this package does not load torch: the annotators with networks are in separate modules.
"""

from passerby.annotators.annotate import annotate, find_existing
from passerby.annotators.base import Annotator, Kind, Sample
from passerby.annotators.factory import METHODS, create_annotator
from passerby.annotators.policy import POLICIES, apply_policy
from passerby.annotators.quality import Quality, measure_quality

__all__ = [
    "METHODS",
    "POLICIES",
    "Annotator",
    "Kind",
    "Quality",
    "Sample",
    "annotate",
    "apply_policy",
    "create_annotator",
    "find_existing",
    "measure_quality",
]
