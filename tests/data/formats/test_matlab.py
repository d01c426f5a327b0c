from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from passerby.data.formats.matlab import (
    check_strings,
    load_mat,
    unpack_integers,
    unpack_partitions,
    unpack_strings,
    unpack_struct,
)
from passerby.errors import FormatError


def cells(*strings: object) -> np.ndarray:
    array = np.empty((len(strings), 1), dtype=object)
    for row, string in enumerate(strings):
        array[row, 0] = string
    return array


@pytest.fixture(params=[False, True], ids=["plain", "compressed"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "a.mat"
    values = {
        "names": cells("Hat", "Skirt&Dress"),
        "label": np.arange(4000, dtype=np.uint16).reshape(40, 100),
        "whole": {"first": np.eye(3), "second": cells("x")},
    }
    scipy.io.savemat(path, values, do_compression=request.param)
    return path


def test_reads_strings_structs_and_arrays(file: Path) -> None:
    content = load_mat(file, required=["names", "label", "whole"])
    assert set(content) == {"names", "label", "whole"}
    assert unpack_strings(content["names"], what="names", count=2) == ["Hat", "Skirt&Dress"]
    assert content["label"].shape == (40, 100)
    fields = unpack_struct(content["whole"], required=["second"], what="whole")
    assert list(fields) == ["first", "second"]
    np.testing.assert_array_equal(fields["first"], np.eye(3))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"nowhere\.mat.*does not exist.*--root"):
        load_mat(tmp_path / "nowhere.mat")


def test_missing_variables_are_listed_with_those_there(file: Path) -> None:
    with pytest.raises(FormatError, match="missing test_label, found label, names, whole"):
        load_mat(file, required=["label", "test_label"])


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.02, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 0.999])
def test_truncated_file_is_an_error_wherever_it_is_cut(file: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(FormatError, match=r"a\.mat"):
        load_mat(file, required=["names", "label", "whole"])


@pytest.mark.parametrize("content", [b"<html>404</html>" * 100, b"\0" * 4096, b"PK\x03\x04" + bytes(1000)])
def test_file_of_another_kind_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(FormatError, match=r"a\.mat"):
        load_mat(tmp_path / "a.mat", required=["label"])


@pytest.mark.parametrize("file", [True], indirect=True, ids=["compressed"])
def test_damage_anywhere_in_a_compressed_file_is_found(file: Path) -> None:
    """As all published files are. (In a plain one nothing tells a changed number from a right one.)"""
    content = np.frombuffer(file.read_bytes(), np.uint8)
    random = np.random.default_rng(0)
    # The first 124 bytes are free text, then two of the version.
    for position in random.integers(128, len(content), size=100):
        damaged = content.copy()
        damaged[position] ^= random.integers(1, 256, dtype=np.uint8)
        file.write_bytes(damaged.tobytes())
        with pytest.raises(FormatError, match=r"a\.mat"):
            load_mat(file, required=["names", "label", "whole"])


def test_version_7_3_is_named(tmp_path: Path) -> None:
    header = b"MATLAB 7.3 MAT-file".ljust(116) + bytes(8) + b"\x00\x02IM"
    (tmp_path / "a.mat").write_bytes(header + b"\x89HDF\r\n\x1a\n" + bytes(1000))
    with pytest.raises(FormatError, match=r"7\.3.*-v7"):
        load_mat(tmp_path / "a.mat")


def test_struct_must_be_one_struct_with_the_fields(file: Path) -> None:
    content = load_mat(file)
    with pytest.raises(FormatError, match=r"whole: .*missing third, found first, second"):
        unpack_struct(content["whole"], required=["first", "third"], what="whole")
    with pytest.raises(FormatError, match="expected a 1×1 struct"):
        unpack_struct(content["label"], required=["first"], what="label")


def test_nested_cells_are_opened() -> None:
    assert unpack_strings(cells(np.array([[np.array(["a "])]], dtype=object), "b"), what="x") == ["a", "b"]


@pytest.mark.parametrize("wrong", [3, np.array([]), "", " ", np.array(["a", "b"])])
def test_cell_without_one_string_is_named_by_number(wrong: object) -> None:
    with pytest.raises(FormatError, match="expected a string in cell 2"):
        unpack_strings(cells("a", wrong), what="x")


def test_count_of_strings_is_checked() -> None:
    with pytest.raises(FormatError, match="expected 3 strings, got 2"):
        unpack_strings(cells("a", "b"), what="x", count=3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64, np.bool_])
def test_integers_of_any_number_type_pass(dtype: type) -> None:
    values = unpack_integers(np.array([[0, 1]], dtype=dtype), what="x", low=0, high=1, shape=(1, 2))
    assert values.dtype == np.int64
    assert values.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[0, 3]], r"integers from 0 to 2, got 3 at index \(0, 1\)"),
        ([[-1, 0]], r"got -1 at index \(0, 0\)"),
        ([[0.5, 0]], r"got 0\.5 at index \(0, 0\)"),
        ([[np.nan, 0]], r"got nan at index \(0, 0\)"),
        ([["a", "b"]], "expected numbers"),
        ([[0, 1, 2]], "expected shape 1 × 2, got 1 × 3"),
        ([0, 1], "expected shape 1 × 2, got 2"),
    ],
)
def test_values_out_of_range_or_shape_are_named(values: list[object], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        unpack_integers(np.array(values), what="x", low=0, high=2, shape=(1, 2))


@pytest.mark.parametrize("shape", [(3, 1), (1, 3), (3,)])
def test_rows_and_columns_flatten(shape: tuple[int, ...]) -> None:
    values = np.arange(3).reshape(shape)
    assert unpack_integers(values, what="x", low=0, high=2, shape=(None,)).tolist() == [0, 1, 2]


def test_strings_are_compared_in_order() -> None:
    check_strings(cells("Hat", "Bag"), ["Hat", "Bag"], what="toy")
    with pytest.raises(FormatError, match="toy: cell 2 is 'Bag', expected 'Cap'"):
        check_strings(cells("Hat", "Bag"), ["Hat", "Cap"], what="toy")
    with pytest.raises(FormatError, match="toy: expected 1 strings, got 2"):
        check_strings(cells("Hat", "Bag"), ["Hat"], what="toy")


def partitions(train: list[int], test: list[int], *, count: int = 5) -> np.ndarray:
    record = np.empty((1, 1), dtype=[("train_index", "O"), ("test_index", "O")])
    record["train_index"][0, 0], record["test_index"][0, 0] = np.array([train]), np.array([test])
    return cells(*[record] * count)


def test_partitions_count_rows_from_one() -> None:
    sizes = {"train_index": 2, "test_index": None}
    found = unpack_partitions(partitions([3, 1], [2]), sizes=sizes, rows=3, what="toy")
    assert found == {f"official-{k}": ["train", "test", "train"] for k in range(1, 6)}


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([1, 2], [4], "toy 1: row 3 is in no split"),
        ([1, 2], [2, 3, 4], "toy 1: row 2 occurs in train and again in test"),
        ([0, 1], [2, 3], "toy 1: train_index: expected integers from 1 to 4, got 0"),
        ([1], [2, 3, 4], "toy 1: expected 2 rows in train_index, got 1"),
    ],
)
def test_damaged_partitions_are_named(train: list[int], test: list[int], message: str) -> None:
    sizes = {"train_index": 2, "test_index": None}
    with pytest.raises(FormatError, match=message):
        unpack_partitions(partitions(train, test), sizes=sizes, rows=4, what="toy")
    with pytest.raises(FormatError, match="toy: expected 5 partitions, got 4"):
        unpack_partitions(partitions(train, test, count=4), sizes=sizes, rows=4, what="toy")
