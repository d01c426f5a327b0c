"""From the files of a data set to batches: formats, manifest, splits, cache, loader, and drawn people."""
