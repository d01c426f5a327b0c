"""The rules under which localisation is scored."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LocalizationProtocol"]


@dataclass(frozen=True, slots=True)
class LocalizationProtocol:
    """The rules of the scores.

    Args:
        truth: `parsing` or `boxes`.
        method: How heat maps are computed, see `passerby.explain.METHODS`.
        binarization: Such as `max:0.5`.
        boxes: `outer` or `components`.
        min_area_px: Samples with fewer true pixels do not count.
        min_samples: Attributes with fewer samples have no interval and are left out of the means; insertion
            and deletion of fewer samples have no interval.
        only_predicted: Whether samples count only if the model predicts them.
        insertion_deletion: Number of samples per attribute with insertion and deletion.
    """

    truth: str
    method: str
    binarization: str
    boxes: str
    min_area_px: int
    min_samples: int
    only_predicted: bool
    insertion_deletion: int

    def describe(self) -> str:
        """The rules in one line, printed with every score."""
        words = self.in_words()
        return (
            f"{words['method']}, {words['binarization']}, {words['boxes']}; {words['truth']}; "
            f"{words['samples']}; {words['min_samples']}"
        )

    def in_words(self) -> dict[str, str]:
        """Each rule in words, without the number of samples with insertion and deletion.

        Stored comparisons contain these words: equal rules must keep their text.
        """
        truth = "the classes of the pixels" if self.truth == "parsing" else "the boxes of drawn people"
        which = "labelled and predicted yes" if self.only_predicted else "labelled yes, whatever is predicted"
        return {
            "method": self.method,
            "binarization": f"foreground {self.binarization}",
            "boxes": "one outer box" if self.boxes == "outer" else "a box around each piece",
            "truth": f"truth: {truth}",
            "samples": f"samples: {which}, with at least {self.min_area_px} true pixels",
            "min_samples": f"means over attributes with at least {self.min_samples} samples",
        }
