"""Score a bundle on a data set with other attributes, on all of its samples.

    passerby prepare pa100k --root PA100K --out pa100k.parquet --allow-missing
    python examples/cross_dataset.py runs/baseline-peta/bundle pa100k.parquet peta-to-pa100k

The label map states which attributes correspond: "Female" of PA-100K is "not personalMale" of PETA. It also
maps the thresholds of the bundle. `passerby evaluate --label-map` does the same for one split and stores the
scores.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

import passerby
from passerby.data.label_map import LabelMap
from passerby.data.manifest import Manifest
from passerby.inference.predictor import Predictor
from passerby.metrics import AttributeMetrics, MeanAveragePrecision


def main(bundle_path: str, manifest_path: str, label_map_name: str) -> None:
    """Print one line per attribute, and the mean."""
    bundle = passerby.load(bundle_path)
    manifest = Manifest.load(Path(manifest_path))
    label_map = LabelMap.load(label_map_name).bind(bundle.schema.names, manifest.schema.names)
    result = Predictor(bundle)([manifest.root / image for image in manifest.images])
    if result.skipped:
        sys.exit(f"{len(result.skipped)} images are unreadable, the first: {result.skipped[0].source}")
    all_probs = np.array([p.probabilities for p in result.predictions], np.float32)
    mapped, limits = label_map.map_probabilities(all_probs, bundle.thresholds)
    probs = torch.from_numpy(mapped)
    columns = [manifest.schema.index(name) for name in label_map.names]
    labels = torch.from_numpy(manifest.labels[:, columns])
    count = len(columns)
    scores, precision = AttributeMetrics(count, thresholds=limits), MeanAveragePrecision(count)
    scores.update(probs, labels)
    precision.update(probs, labels)
    counted, (mean_ap, ap) = scores.compute(), precision.compute()
    print(f"{len(labels)} samples of {manifest.dataset}, {count} attributes of {label_map.title}")
    print(f"{'attribute':24}{'from':32}{'positive':>9}{'mA':>8}{'TPR':>8}{'TNR':>8}{'AP':>8}")
    for i, (name, sources) in enumerate(zip(label_map.names, label_map.sources, strict=True)):
        tpr, tnr = float(counted.per_attribute_tpr[i]), float(counted.per_attribute_tnr[i])
        words = " or ".join(f"not {s.name}" if s.negated else s.name for s in sources)
        positive = int(counted.positives[i])
        print(f"{name:24}{words:32}{positive:9}{(tpr + tnr) / 2:8.1%}{tpr:8.1%}{tnr:8.1%}{float(ap[i]):8.1%}")
    print(f"{'mean':65}{counted.mA:8.1%}{'':16}{mean_ap:8.1%}")


if __name__ == "__main__":
    main(*sys.argv[1:])
