from pathlib import Path

import pytest

from passerby.cli.train import _name_run


@pytest.mark.parametrize(
    ("recipe", "name"),
    [
        ("house/recipes/baseline/peta.yaml", "baseline-peta"),
        ("house/recipes/diaa/ablations/wider/full.yaml", "diaa-ablations-wider-full"),
        ("recipes/house/recipes/diaa/peta.yaml", "diaa-peta"),  # the folder nearest to the file counts
        ("mine/shop.yaml", "mine-shop"),
    ],
)
def test_a_run_is_named_after_its_recipe_without_collisions(tmp_path: Path, recipe: str, name: str) -> None:
    assert _name_run(tmp_path / recipe) == name
