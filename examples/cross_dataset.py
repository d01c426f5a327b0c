"""Score a bundle on a data set it was not trained on, where the attributes of both ask the same question.

    passerby prepare pa100k --root PA100K --out pa100k.parquet --allow-missing
    python examples/cross_dataset.py runs/baseline-peta/bundle pa100k.parquet

Attributes correspond by `concept` (`AttributeSchema.match`); "male" here is "not female" there. The
threshold is the bundle's own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

import passerby
from passerby.data.manifest import Manifest
from passerby.inference import Predictor
from passerby.metrics import AttributeMetrics, MeanAveragePrecision


def main(bundle_path: str, manifest_path: str) -> None:
    """Print one line an attribute, and the mean."""
    bundle = passerby.load(bundle_path)
    manifest = Manifest.load(Path(manifest_path))
    matches = bundle.schema.match(manifest.schema)
    result = Predictor(bundle)([manifest.root / image for image in manifest.images])
    if result.skipped:
        sys.exit(f"{len(result.skipped)} pictures cannot be read, the first: {result.skipped[0].source}")
    all_probs = torch.tensor([p.probabilities for p in result.predictions])
    probs = all_probs[:, [bundle.schema.index(m.source) for m in matches]]
    labels = torch.from_numpy(manifest.labels)[:, [manifest.schema.index(m.target) for m in matches]]
    negated = torch.tensor([m.negated for m in matches])
    labels = torch.where(negated & (labels >= 0), 1 - labels, labels).to(torch.int8)
    scores, precision = AttributeMetrics(len(matches)), MeanAveragePrecision(len(matches))
    scores.update(probs, labels)
    precision.update(probs, labels)
    counted, (mean_ap, ap) = scores.compute(), precision.compute()
    print(f"{len(labels)} pictures of {manifest.dataset}, {len(matches)} attributes of both")
    print(f"{'attribute':24}{'there':16}{'yes':>6}{'mA':>8}{'found':>8}{'cleared':>9}{'AP':>8}")
    for i, m in enumerate(matches):
        tpr, tnr = float(counted.per_attribute_tpr[i]), float(counted.per_attribute_tnr[i])
        there = f"not {m.target}" if m.negated else m.target
        yes = int(counted.positives[i])
        print(f"{m.source:24}{there:16}{yes:6}{(tpr + tnr) / 2:8.1%}{tpr:8.1%}{tnr:9.1%}{float(ap[i]):8.1%}")
    print(f"{'mean':40}{'':6}{counted.mA:8.1%}{'':17}{mean_ap:8.1%}")


if __name__ == "__main__":
    main(*sys.argv[1:])
