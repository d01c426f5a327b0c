"""Custom data: a CSV file, a spreadsheet, a Parquet file or a list, with one row per person."""

from passerby.data.formats.table.reading import read, read_persons

__all__ = ["read", "read_persons"]
