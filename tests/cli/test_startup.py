"""Errors that need no model come before torch is imported, and so in less than a second."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from passerby.bundle import Bundle
from passerby.data.manifest import Manifest
from passerby.models import create_model
from passerby.parsing import COARSE_CLASSES
from passerby.schema import Attribute, AttributeSchema
from passerby.types import Preprocess
from toy_evaluations import create_evaluation, create_manifest

SLOW = ("torch", "torchvision", "timm", "lightning", "torchmetrics", "transformers", "matplotlib")

RUN = f"""
import contextlib, io, json, os, sys
from passerby.cli import main

outcomes = {{}}
for name, words in json.load(sys.stdin).items():
    sys.argv = ["passerby", *words]
    status, error, before = 0, io.StringIO(), set(sys.modules)
    with contextlib.redirect_stderr(error), contextlib.redirect_stdout(io.StringIO()):
        try:
            main()
        except SystemExit as stop:
            status = stop.code
    loaded = [module for module in {SLOW} if module in set(sys.modules) - before]
    outcomes[name] = [status, " ".join(error.getvalue().split()), loaded]
print(json.dumps(outcomes))
"""

EVALUATE = ("evaluate", "bundle", "--data", "toy.parquet")
LOCALIZATION = ("evaluate-localization", "bundle", "--data", "toy.parquet")
CALIBRATE = ("calibrate", "bundle", "--data", "toy.parquet", "--out", "new", "--goal", "f1")
GPU = "no GPU for the device 'cuda:0'"

CASES: dict[str, tuple[tuple[str, ...], str]] = {
    "predict: no bundle": (("predict", "nothing", "a.png"), "no bundle at nothing"),
    "predict: no image": (("predict", "bundle", "b.png"), "no images at: b.png"),
    "predict: no GPU": (("predict", "bundle", "a.png", "--device", "cuda:0"), GPU),
    "predict: no such device": (
        ("predict", "bundle", "a.png", "--device", "gpu"),
        "expected a device such as",
    ),
    "predict: damaged bundle": (("predict", "damaged", "a.png"), "damaged is not a bundle: it has no config"),
    "predict: no masks": (
        ("predict", "bundle", "a.png", "--masks", "nothing"),
        "no method 'nothing' for masks",
    ),
    "localize: no bundle": (("localize", "nothing", "a.png"), "no bundle at nothing"),
    "localize: no image": (("localize", "bundle", "b.png"), "no images at: b.png"),
    "localize: no GPU": (("localize", "bundle", "a.png", "--device", "cuda:0"), GPU),
    "localize: attribute": (
        ("localize", "bundle", "a.png", "--attributes", "Hut"),
        "no attribute 'Hut'; did you mean Hat?",
    ),
    "localize: figure": (("localize", "bundle", "a.png", "--out", "a.doc"), "no image format for a.doc"),
    "localize: threshold": (("localize", "bundle", "a.png", "--binarize", "half"), "half"),
    "attention: no bundle": (("attention", "nothing", "a.png"), "no bundle at nothing"),
    "attention: no image": (("attention", "bundle", "b.png"), "no images at: b.png"),
    "attention: no GPU": (("attention", "bundle", "a.png", "--device", "cuda:0"), GPU),
    "attention: attribute": (
        ("attention", "bundle", "a.png", "--attributes", "Hut"),
        "no attribute 'Hut'; did you mean Hat?",
    ),
    "evaluate: no bundle": (("evaluate", "nothing", "--data", "toy.parquet"), "no bundle at nothing"),
    "evaluate: no manifest": (("evaluate", "bundle", "--data", "no.parquet"), "no manifest at no.parquet"),
    "evaluate: no GPU": ((*EVALUATE, "--device", "cuda:0"), GPU),
    "evaluate: partition": ((*EVALUATE, "--partition", "other"), "no partition 'other' in this manifest"),
    "evaluate: split": ((*EVALUATE, "--split", "val"), "has no rows in the split val (rows: "),
    "evaluate: label map": ((*EVALUATE, "--label-map", "peta-to-pa10k"), "did you mean peta-to-pa100k"),
    "evaluate: label map that does not fit": (
        (*EVALUATE, "--label-map", "peta-to-pa100k"),
        "label map peta-to-pa100k does not fit",
    ),
    "evaluate: attributes": (("evaluate", "bundle", "--data", "other.parquet"), "lacks 2 (Hat, Bag)"),
    "evaluate: protocol": ((*EVALUATE, "--protocol", "strict"), "no protocol 'strict'"),
    "evaluate-localization: no bundle": (
        ("evaluate-localization", "nothing", "--data", "toy.parquet"),
        "no bundle at nothing",
    ),
    "evaluate-localization: no manifest": (
        ("evaluate-localization", "bundle", "--data", "no.parquet"),
        "no manifest at no.parquet",
    ),
    "evaluate-localization: no GPU": ((*LOCALIZATION, "--device", "cuda:0"), GPU),
    "evaluate-localization: partition": ((*LOCALIZATION, "--partition", "other"), "no partition 'other'"),
    "evaluate-localization: label map": ((*LOCALIZATION, "--label-map", "peta-to-cpc"), "mean peta-to-ccp"),
    "evaluate-localization: label map that does not fit": (
        (*LOCALIZATION, "--label-map", "peta-to-ccp"),
        "label map peta-to-ccp does not fit",
    ),
    "evaluate-localization: attribute": (
        (*LOCALIZATION, "--label-map", "classes.json", "--exclude-from-mean", "Hut"),
        "'Hut' has no ground truth; choose from Hat",
    ),
    "evaluate-localization: no ground truth": (
        ("evaluate-localization", "bundle", "--data", "bare.parquet"),
        "expected parsing maps in the manifest or boxes.json",
    ),
    "calibrate: no bundle": (
        ("calibrate", "nothing", "--data", "toy.parquet", "--out", "new", "--goal", "f1"),
        "no bundle at nothing",
    ),
    "calibrate: test split": ((*CALIBRATE, "--split", "test"), "thresholds chosen on the test split"),
    "calibrate: no GPU": ((*CALIBRATE, "--device", "cuda:0"), GPU),
    "annotate: no manifest": (("annotate", "no.parquet", "--masks"), "no manifest at no.parquet"),
    "annotate: method": (("annotate", "toy.parquet", "--masks-from", "sam"), "--masks-from: expected one of"),
    "annotate: no GPU": (("annotate", "toy.parquet", "--masks", "--device", "cuda:0"), GPU),
    "prepare: no data set": (("prepare", "petta", "--root", "."), "no data set 'petta'"),
    "prepare: no root": (("prepare", "peta", "--root", "nothing"), "nothing does not exist"),
    "results: no path": (("results", "nothing"), "nothing"),
    "results: variant": (("results", "score.json", "--variants", "sc"), "'sc'"),
    "compare: one run": (("compare", "score.json", "--baseline", "b"), "expected at least two runs"),
    "compare: no path": (("compare", "nothing", "--baseline", "b"), "nothing"),
    "compare: no path and no baseline": (("compare", "nothing"), "no file or folder at nothing"),
    "compare: no baseline": (("compare", "score.json"), "expected --baseline, got none"),
    "compare-localization: no path and no baseline": (
        ("compare-localization", "nothing"),
        "no file or folder at nothing",
    ),
    "evaluate: seed": ((*EVALUATE, "--seed", "-1"), "greater than or equal to 0"),
    "report: seed": (("report", "score.json", "--seed", "-1"), "greater than or equal to 0"),
    "compare-localization: no path": (("compare-localization", "nothing", "--baseline", "b"), "nothing"),
    "report: no path": (("report", "nothing"), "nothing"),
    "models: size": (("models", "--size", "large"), "expected --size as height x width"),
    "recipes: no recipe": (("recipes", "baseline/ow"), "did you mean baseline/own"),
    "train: no recipe": (("train", "baseline/ow"), "did you mean baseline/own"),
    "suite: no suite": (("suite", "suites/pta"), "did you mean suites/peta"),
    "suite: no manifest": (
        ("suite", "suites/peta", "--set", "data.manifest=no.parquet", "--dry-run"),
        "no manifest at no.parquet",
    ),
    "no command": (("predikt",), "predict"),
    "no option": (("predict", "bundle", "a.png", "--topp", "3"), "--top"),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, list[str]]]:
    """Exit status, standard error and slow modules of each case, all run in one process in a new folder."""
    folder = tmp_path_factory.mktemp("startup")
    Image.new("RGB", (20, 40)).save(folder / "a.png")
    Image.fromarray(np.zeros((40, 20), np.uint8)).save(folder / "map.png")
    schemas = {"toy": ("Hat", "Bag"), "other": ("Boots",), "bare": ("Hat", "Bag")}
    for name, names in schemas.items():
        schema = AttributeSchema(name, tuple(Attribute(each, f"has {each}") for each in names))
        manifest = Manifest.create(
            name,
            schema,
            root=folder,
            images=["a.png", "a.png"],
            labels=np.zeros((2, len(names)), np.int8),
            partitions={"own": ["train", "test"]},
            parsing=None if name == "bare" else ["map.png", "map.png"],
        )
        if name != "bare":
            manifest = manifest.with_guidance(parsing_classes=COARSE_CLASSES)
        manifest.write(folder / f"{name}.parquet")
    (folder / "classes.json").write_text(json.dumps({"Hat": COARSE_CLASSES[1]}))
    schema = AttributeSchema("toy", (Attribute("Hat", "wears a hat"), Attribute("Bag", "carries a bag")))
    model = create_model("baseline", schema=schema, backbone="test_resnet")
    Bundle(model, Preprocess(32, 16)).save(folder / "bundle")
    (folder / "damaged").mkdir()
    (folder / "people").mkdir()
    create_evaluation(create_manifest(folder / "people")).write_result(folder / "score.json")
    result = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps({name: words for name, (words, _) in CASES.items()}),
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PASSERBY_WEIGHTS": str(folder)},
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("case", CASES)
def test_an_error_in_the_input_comes_before_torch_is_imported(
    case: str, outcomes: dict[str, tuple[int, str, list[str]]]
) -> None:
    status, error, loaded = outcomes[case]
    assert CASES[case][1] in error
    assert (status, loaded) == (2, [])
