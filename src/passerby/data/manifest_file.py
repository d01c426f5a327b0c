"""Read, write and fingerprint the Parquet file of a manifest."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from passerby.data.columns import check_classes, check_table
from passerby.errors import ManifestError, SchemaError
from passerby.io import replace_file
from passerby.schema import AttributeSchema

__all__ = ["ManifestFile", "compute_fingerprint", "read_manifest_file", "write_manifest_file"]

FORMAT_VERSION = 1

_TABLES = frozenset({".csv", ".tsv", ".txt", ".xlsx", ".xls", ".ods"})
"""Suffixes of tables that `passerby prepare table` reads."""


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """The content of the file; see `passerby.data.manifest.Manifest` for the fields."""

    dataset: str
    schema: AttributeSchema
    table: pa.Table
    root: Path
    parsing_classes: tuple[str, ...]
    domain: str | None = None


def write_manifest_file(path: Path, content: ManifestFile) -> None:
    """Write a Parquet file atomically; its metadata contains everything but the table."""
    root = Path(os.path.relpath(content.root.resolve(), path.parent.resolve())).as_posix()
    meta = {
        "version": FORMAT_VERSION,
        "dataset": content.dataset,
        "root": root,
        "schema": content.schema.to_dict(),
    }
    if content.parsing_classes:
        meta["parsing_classes"] = content.parsing_classes
    if content.domain:
        meta["domain"] = content.domain
    with replace_file(path) as temporary:
        pq.write_table(content.table.replace_schema_metadata({"passerby": json.dumps(meta)}), temporary)


def read_manifest_file(path: Path) -> ManifestFile:
    """Read and check a Parquet file; its root is relative to the file itself, even if `path` is a link.

    Raises:
        ManifestError: If the file is missing, not Parquet, or was not written by `passerby prepare`.
    """
    try:
        table = pq.ParquetFile(path).read()
        meta = json.loads((table.schema.metadata or {})[b"passerby"])
        version, dataset, root = meta["version"], str(meta["dataset"]), str(meta["root"])
        schema = AttributeSchema.from_dict(meta["schema"])
        classes = check_classes(meta.get("parsing_classes", ()))
        domain = None if meta.get("domain") is None else str(meta["domain"])
    except FileNotFoundError:
        raise ManifestError(f"no manifest at {path}; create one with `passerby prepare`") from None
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError, SchemaError) as error:
        if path.suffix.lower() in _TABLES:
            options = ["--root", str(path.parent), "--table", str(path), "--out", f"{path.stem}.parquet"]
            raise ManifestError(
                f"expected a manifest, got the table {path}; convert it with `passerby prepare table "
                f"{shlex.join(options)}`"
            ) from error
        raise ManifestError(
            f"{path} is not a manifest of passerby, or is damaged ({type(error).__name__}: {error}); "
            "create one with `passerby prepare`"
        ) from error
    if version != FORMAT_VERSION:
        raise ManifestError(
            f"{path} has format {version}, this version reads format {FORMAT_VERSION}; create it again "
            "with `passerby prepare`"
        )
    table = table.replace_schema_metadata(None)
    check_table(path, table, schema)
    return ManifestFile(dataset, schema, table, (path.resolve().parent / root).resolve(), classes, domain)


def compute_fingerprint(
    dataset: str, schema: AttributeSchema, table: pa.Table, parsing_classes: tuple[str, ...]
) -> str:
    """A hash of 16 hexadecimal digits over all cells, names and their order."""
    digest = hashlib.sha256(f"{FORMAT_VERSION}{dataset}{_serialise_schema(schema)}".encode())
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        digest.update(f"\0{name}\0".encode())
        if pa.types.is_fixed_size_list(column.type):
            digest.update(column.is_null().to_numpy(zero_copy_only=False).tobytes())
            digest.update(column.drop_null().flatten().to_numpy(zero_copy_only=False).tobytes())
        else:
            digest.update(json.dumps(column.to_pylist()).encode())
    if parsing_classes:  # otherwise unchanged, so that caches of older manifests stay valid
        digest.update(f"\0classes\0{json.dumps(parsing_classes)}".encode())
    return digest.hexdigest()[:16]


def _serialise_schema(schema: AttributeSchema) -> str:
    """The schema with the keys of passerby 0.1, so that fingerprints in caches and runs stay valid."""
    values = schema.to_dict()
    values["attributes"] = [
        {"part" if key == "body_part" else key: value for key, value in attribute.items()}
        for attribute in values["attributes"]
    ]
    return json.dumps(values, sort_keys=True, ensure_ascii=False)
