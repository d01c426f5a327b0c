"""From the files of a data set to batches: formats, manifest, partitions, cache, loader, and drawn people."""
