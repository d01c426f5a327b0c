"""The best and worst cases: which they are, and their files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from passerby.data.manifest import Manifest
from passerby.errors import DataError
from passerby.evaluation.localization.case_selection import COUNT, PER_ATTRIBUTE, CaseSelector
from passerby.evaluation.localization.cases import Case, LocalizationCases
from passerby.evaluation.localization.samples import MEASURES, LocalizationSamples, Measurement
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Box

SIZE = (8, 6)
NAMES = tuple(f"a{i}" for i in range(9))
PICTURES = 30


def measure(row: int, attribute: int, prob: float, iou: float) -> Measurement:
    return Measurement(row, attribute, prob, {"box_iou": iou})


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return Manifest.create(
        "toy",
        AttributeSchema("toy", tuple(Attribute(name, f"has {name}") for name in NAMES)),
        root=tmp_path,
        images=[f"{i}.png" for i in range(PICTURES)],
        labels=[[1] * len(NAMES)] * PICTURES,
        partitions={"own": ["test"] * PICTURES},
        boxes=[(0.0, 0.0, 4.0, 8.0) if i % 2 else None for i in range(PICTURES)],
    )


def choose(
    manifest: Manifest, measured: Sequence[Measurement], members: Sequence[int] = range(len(NAMES))
) -> LocalizationCases:
    selector = CaseSelector()
    for one in measured:
        if selector.accepts(one):
            heat = np.full(SIZE, one.row + 1, np.float32)
            selector.add(one, heat, found=[Box(0, 0, 2, 2)], truth=[Box(1, 0, 3, 2)])
    rows = np.arange(PICTURES) + 100
    return choose_of(selector, manifest, members, rows)


def choose_of(
    selector: CaseSelector, manifest: Manifest, members: Sequence[int], rows: np.ndarray
) -> LocalizationCases:
    return selector.choose(manifest, names=NAMES, members=members, rows=rows, resize="pad")


def list_keys(cases: Sequence[Case]) -> list[tuple[int, str]]:
    return [(case.row - 100, case.attribute) for case in cases]


@pytest.fixture
def measured() -> list[Measurement]:
    """Every attribute of every image; IoU of a few values, so that many are equal."""
    rng = np.random.default_rng(0)
    pairs = [(row, attribute) for row in range(PICTURES) for attribute in range(len(NAMES))]
    return [measure(row, a, rng.integers(1, 9) / 10, rng.integers(0, 5) / 4) for row, a in pairs]


def test_the_chosen_are_those_of_a_plain_search(manifest: Manifest, measured: list[Measurement]) -> None:
    cases = choose(manifest, measured)
    for kind, sign in (("best", -1), ("worst", 1)):
        order = sorted(measured, key=lambda m: (sign * m.measures["box_iou"], -m.prob, m.row, m.attribute))
        taken: list[tuple[int, str]] = []
        for one in order:
            if sum(name == NAMES[one.attribute] for _, name in taken) < PER_ATTRIBUTE:
                taken.append((one.row, NAMES[one.attribute]))
        assert list_keys(getattr(cases, kind)) == taken[:COUNT]
    shuffled = [measured[i] for i in np.random.default_rng(1).permutation(len(measured))]
    assert list_keys(choose(manifest, shuffled).worst) == list_keys(cases.worst)


def test_the_fields_of_a_case(manifest: Manifest) -> None:
    cases = choose(manifest, [measure(3, 1, 0.25, 0.5)])
    (case,) = cases.best
    assert (case.image, case.row, case.crop) == ("3.png", 103, (0.0, 0.0, 4.0, 8.0))
    assert (case.attribute, case.prob, case.box_iou) == ("a1", 0.25, 0.5)
    assert (case.heat == 255).all()
    assert (cases.root, cases.resize) == (manifest.root, "pad")
    assert cases.worst == ()  # no sample is both


def test_only_members_are_chosen(manifest: Manifest, measured: list[Measurement]) -> None:
    cases = choose(manifest, measured, members=[2, 5])
    assert {case.attribute for case in (*cases.best, *cases.worst)} == {"a2", "a5"}
    assert len(cases.best) == len(cases.worst) == 4
    assert choose(manifest, measured, members=[]).best == ()


def test_few_heat_maps_are_kept(measured: list[Measurement]) -> None:
    """Memory is bounded by the number of attributes, however many samples there are."""
    selector = CaseSelector()
    for one in measured:
        if selector.accepts(one):
            selector.add(one, np.ones(SIZE, np.float32), found=[], truth=[])
    held = {id(each) for kept in selector._kept.values() for each in kept}
    assert len(held) <= 2 * PER_ATTRIBUTE * len(NAMES)


def test_the_heat_is_scaled_to_its_peak(manifest: Manifest) -> None:
    selector = CaseSelector()
    ramp = np.linspace(0, 3e-5, SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE)
    for row, heat in enumerate((ramp, np.zeros(SIZE, np.float32))):
        selector.add(measure(row, 0, 0.5, 1 - row), heat, found=[], truth=[Box(0, 0, 1, 1)])
    first, second = choose_of(selector, manifest, [0], np.arange(PICTURES)).best
    np.testing.assert_array_equal(first.heat, np.rint(255 * ramp / ramp.max()))
    assert not second.heat.any()


# ---------------------------------------------------------------------- files


def test_files_give_the_same_cases(manifest: Manifest, measured: list[Measurement], tmp_path: Path) -> None:
    cases = choose(manifest, measured)
    folder = tmp_path / "scores" / "cases"
    cases.write(folder)
    again = LocalizationCases.load(folder)
    assert again.root.resolve() == manifest.root.resolve()
    assert again.resize == "pad"
    for ours, theirs in zip((*cases.best, *cases.worst), (*again.best, *again.worst), strict=True):
        assert (ours.heat == theirs.heat).all()
        for name in (f.name for f in fields(Case) if f.name != "heat"):
            assert getattr(ours, name) == getattr(theirs, name)
    assert LocalizationCases.load(folder, root=tmp_path / "moved").root == tmp_path / "moved"
    assert len(list(folder.iterdir())) == 2 * COUNT + 1
    choose(manifest, measured, members=[0]).write(folder)  # fewer: old files are removed
    assert len(list(folder.iterdir())) == 5
    assert len(LocalizationCases.load(folder).best) == 2


def test_damaged_files_are_refused(manifest: Manifest, measured: list[Measurement], tmp_path: Path) -> None:
    folder = tmp_path / "cases"

    def check_refused(message: str) -> None:
        with pytest.raises(DataError, match=message) as caught:
            LocalizationCases.load(folder)
        assert "evaluate-localization" in str(caught.value)
        choose(manifest, measured).write(folder)

    folder.mkdir()
    check_refused("no file or folder at")
    (folder / "worst-03.png").unlink()
    check_refused(r"worst-03\.png")
    (folder / "best-01.png").write_bytes(b"no image")
    check_refused(r"best-01\.png")
    Image.new("RGB", SIZE).save(folder / "best-01.png")
    check_refused("one number per pixel")
    for change in (
        {"version": 2},
        {"resize": "crop"},
        {"best": [{"image": "x"}]},
        {"worst": 3},
    ):
        values = json.loads((folder / "cases.json").read_text())
        (folder / "cases.json").write_text(json.dumps(values | change))
        check_refused("no complete cases")


def test_cases_of_other_samples_are_refused(manifest: Manifest) -> None:
    (case,) = choose(manifest, [measure(3, 1, 0.25, 0.5)]).best
    samples = LocalizationSamples(
        attributes=NAMES,
        attribute=np.array([1]),
        images=["3.png"],
        identities=[None],
        rows=np.array([103]),
        probs=np.array([0.25]),
        measures={name: np.array([0.5]) for name in MEASURES},
    )
    LocalizationCases((case,), (), manifest.root, "pad").check(samples, SIZE)
    for change in ({"row": 4}, {"attribute": "a2"}, {"prob": 0.3}, {"box_iou": 0.4}, {"image": "4.png"}):
        other = LocalizationCases((), (replace(case, **change),), manifest.root, "pad")
        with pytest.raises(DataError, match="do not belong together"):
            other.check(samples, SIZE)
    with pytest.raises(DataError, match="do not belong together"):
        LocalizationCases((case,), (), manifest.root, "pad").check(samples, (6, 8))
