from __future__ import annotations

from pathlib import Path

import pytest

from passerby.data.formats.withdrawn import check_not_withdrawn
from passerby.errors import DataError


@pytest.mark.parametrize(
    "given",
    [
        {"dataset": "dukemtmc"},
        {"dataset": "duke"},
        {"dataset": "DukeMTMC-reID"},
        {"root": Path("data/DukeMTMC-VideoReID")},
        {"images": ["a.jpg", "DukeMTMC-reID/query/0005_c2_f0046985.jpg"]},
        {"images": ["bounding_box_train/0001_c2_f0046182.jpg"]},
    ],
)
def test_dukemtmc_is_refused(given):
    with pytest.raises(DataError, match="DukeMTMC, which its authors withdrew in 2019"):
        check_not_withdrawn(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"dataset": "market1501"},
        {"root": Path("duke")},  # the name of a user, say
        {"images": ["people/duke_of_york.jpg", "bounding_box_train/0002_c1s1_000451_03.jpg"]},
    ],
)
def test_others_are_not(given):
    check_not_withdrawn(**given)
