"""From the files of a data set to batches: formats, manifest, partitions, cache, augmentation, loader."""
