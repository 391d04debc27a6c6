"""Inputs from files: formats, errors, choice of pairs, their geometry, and the sets in data/."""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import runpy
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import mpmath
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from simcore.errors import InputError
from simcore.inputs.pairs import _below, pair_geometry, pick_pairs, read_pairs
from simcore.inputs.rows import digest, notes, read_inputs

DATA = Path(__file__).parents[2] / "data"
ROWS = np.random.default_rng(1).normal(size=(5, 3))
DISTANCE_ERROR = 1e-14
"""Relative; 9e-16 is the largest error in 20 seeds of the rows below."""


# --- writing files of every kind ------------------------------------------------------------------


def write_npy(path: Path, values: npt.NDArray[Any]) -> None:
    with path.open("wb") as file:
        np.save(file, values)


def write_npz(path: Path, **arrays: npt.NDArray[Any]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def write_hdf5(path: Path, **arrays: Any) -> None:
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values


def write_csv(path: Path, values: npt.NDArray[Any], header: str = "") -> None:
    np.savetxt(path, values, fmt="%.17g", delimiter=",", header=header, comments="")


WRITERS: dict[str, Callable[[Path, npt.NDArray[Any]], None]] = {
    "x.npy": write_npy,
    "x.npz": lambda path, values: write_npz(path, anything=values),
    "x.h5": lambda path, values: write_hdf5(path, anything=values),
    "x.HDF5": lambda path, values: write_hdf5(path, anything=values),
    "x.csv": write_csv,
    "header.csv": lambda path, values: write_csv(path, values, 'a,b c,"d"'),
    "comment.csv": lambda path, values: write_csv(path, values, "# a, 2, c"),
}


# --- formats --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("values", [ROWS, ROWS[:1], ROWS[:, :1], ROWS[:1, :1]], ids=str)
def test_every_format_gives_back_the_numbers(
    tmp_path: Path, name: str, values: npt.NDArray[Any]
) -> None:
    WRITERS[name](tmp_path / name, values)
    found = read_inputs(tmp_path / name)
    np.testing.assert_array_equal(found, values)
    assert found.dtype == np.float64
    assert found.flags.c_contiguous


@pytest.mark.parametrize("kind", ["?", "u1", "i8", ">i2", "f2", "f4", ">f8", "g"])
@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.h5"])
def test_every_kind_of_number_becomes_float64(tmp_path: Path, name: str, kind: str) -> None:
    values = np.array([[1, 0, 1], [0, 1, 1]], dtype=kind)
    WRITERS[name](tmp_path / name, np.asfortranarray(values))
    np.testing.assert_array_equal(read_inputs(tmp_path / name), values.astype(float))


def test_csv_of_other_programs(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b'\xef\xbb\xbf\r\n"first","second"\r\n1, 2\r\n\r\n"3",4e0\r\n')
    np.testing.assert_array_equal(read_inputs(path), [[1, 2], [3, 4]])


@pytest.mark.parametrize("gaps", ["NA,NA,NA", ",,", "?,?,?", '"","n/a",null', "NaN,NA,", "-,-,-"])
def test_a_first_row_of_missing_values_is_no_header(tmp_path: Path, gaps: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"{gaps}\n1,2,3\n4,5,6\n")
    with pytest.raises(InputError) as caught:
        read_inputs(path)
    check_error(caught.value, "inputs", "line 1, column ", "which is not a number")
    path.write_text(f"a,,NA\n1,2,3\n{gaps}\n")
    with pytest.raises(InputError) as caught:
        read_inputs(path)
    check_error(caught.value, "inputs", "line 3, column ", "which is not a number")


def test_a_header_of_column_numbers_is_noted(tmp_path: Path) -> None:
    pd.DataFrame(ROWS).to_csv(tmp_path / "x.csv", index=False)
    found = read_inputs(tmp_path / "x.csv")
    np.testing.assert_array_equal(found, [[0, 1, 2], *ROWS])
    assert notes(found) == [
        "inputs: row 0 counts from 0 to 2; remove it if it is a CSV header",
    ]
    assert notes(found[1:]) == []


@pytest.mark.parametrize("suffix", ["npz", "h5"])
def test_datasets_are_found_by_name_or_because_they_are_called_inputs(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"x.{suffix}"
    write = write_npz if suffix == "npz" else write_hdf5
    write(path, other=ROWS + 1, inputs=ROWS)
    np.testing.assert_array_equal(read_inputs(path), ROWS)
    np.testing.assert_array_equal(read_inputs(f"{path}:other"), ROWS + 1)


def test_hdf5_takes_the_only_matrix_of_numbers_and_paths_in_groups(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    write_hdf5(path, **{"a/b": ROWS, "labels": np.arange(5), "names": np.array([[b"x"], [b"y"]])})
    for source in (str(path), f"{path}:a/b", f"{path}:/a/b", f"{path}:"):
        np.testing.assert_array_equal(read_inputs(source), ROWS)


def test_hdf5_datasets_are_read_through_links(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "other.h5", x=ROWS + 2)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["g/first"], file["g/second"] = ROWS, ROWS + 1
        file["soft"] = h5py.SoftLink("/g/second")
        file["folder"] = h5py.SoftLink("/g")
        file["g/up"] = h5py.SoftLink("/")
        file["outside"] = h5py.ExternalLink("other.h5", "/x")
        file["hard"] = file["g/second"]
        file["gone"] = h5py.SoftLink("/nothing")
        file["far"] = h5py.ExternalLink("nothing.h5", "/x")
    read = {"g/first": 0, "g/second": 1, "soft": 1, "hard": 1, "folder/second": 1, "outside": 2}
    for name, more in read.items():
        np.testing.assert_array_equal(read_inputs(f"{tmp_path}/x.h5:{name}"), ROWS + more)
    for name in ("gone", "far"):
        with pytest.raises(InputError) as caught:
            read_inputs(f"{tmp_path}/x.h5:{name}")
        check_error(caught.value, "inputs", f"holds a link '{name}' whose target is missing")
    with pytest.raises(InputError) as caught:  # three matrices, whatever the number of names
        read_inputs(tmp_path / "x.h5")
    check_error(caught.value, "inputs", "holds 3 arrays")


def test_a_link_called_inputs_is_taken(tmp_path: Path) -> None:
    for link in ("soft", "hard"):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["a/first"], file["a/second"] = ROWS, ROWS + 1
            file["inputs"] = file["a/second"] if link == "hard" else h5py.SoftLink("/a/second")
        np.testing.assert_array_equal(read_inputs(tmp_path / "x.h5"), ROWS + 1)


def write_virtual(path: Path, file: str, dataset: str) -> None:
    layout = h5py.VirtualLayout(ROWS.shape, dtype="f8")
    layout[:] = h5py.VirtualSource(file, dataset, shape=ROWS.shape)
    with h5py.File(path, "w") as written:
        written["own"] = ROWS + 3
        written.create_virtual_dataset("inputs", layout)


def test_virtual_datasets_are_read_if_their_sources_are_there(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    write_hdf5(tmp_path / "folder/source.h5", x=ROWS)
    for name in ("folder/source.h5", str(tmp_path / "folder/source.h5")):
        write_virtual(tmp_path / "x.h5", name, "x")
        np.testing.assert_array_equal(read_inputs(tmp_path / "x.h5"), ROWS)
    write_virtual(tmp_path / "x.h5", ".", "own")
    np.testing.assert_array_equal(read_inputs(tmp_path / "x.h5"), ROWS + 3)
    write_virtual(tmp_path / "twice.h5", "x.h5", "inputs")
    np.testing.assert_array_equal(read_inputs(tmp_path / "twice.h5"), ROWS + 3)


def test_virtual_datasets_without_their_sources_are_refused(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "source.h5", x=ROWS)
    for file, dataset in (("gone.h5", "x"), ("source.h5", "y"), (".", "y")):
        write_virtual(tmp_path / "x.h5", file, dataset)
        with pytest.raises(InputError) as caught:
            read_inputs(tmp_path / "x.h5")
        check_error(caught.value, "inputs", f"whose source, '{dataset}' of {file}, is missing")
    write_virtual(tmp_path / "x.h5", "gone.h5", "x")
    write_virtual(tmp_path / "twice.h5", "x.h5", "inputs")
    with pytest.raises(InputError) as caught:
        read_inputs(tmp_path / "twice.h5")
    check_error(caught.value, "inputs", "'x' of gone.h5, is missing")


def test_colons_in_names_of_files(tmp_path: Path) -> None:
    write_npy(tmp_path / "a:b.npy", ROWS)
    write_hdf5(tmp_path / "c:d.h5", **{"one": ROWS, "t:wo": ROWS + 1})
    np.testing.assert_array_equal(read_inputs(tmp_path / "a:b.npy"), ROWS)
    np.testing.assert_array_equal(read_inputs(f"{tmp_path}/c:d.h5:one"), ROWS)
    np.testing.assert_array_equal(read_inputs(f"{tmp_path}/c:d.h5:t:wo"), ROWS + 1)


# --- errors ---------------------------------------------------------------------------------------


def check_error(error: InputError, field: str, *parts: str) -> None:
    """One line that names the field, what is wrong and what to do."""
    text = str(error)
    assert error.field == field
    assert text.startswith(f"{field} = ")
    assert "\n" not in text
    assert error.remedy.endswith(".")
    for part in parts:
        assert part in text


BAD_FILES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "missing": (lambda p: None, "x.npy", "there is no such file"),
    "missing, dataset named": (lambda p: None, "x.h5:a", "there is no such file"),
    "name too long": (lambda p: None, "x" * 300 + ".npy", "name too long"),
    "folder": (lambda p: (p / "x.h5").mkdir(), "x.h5", "is a folder"),
    "pipe": (lambda p: os.mkfifo(p / "x.npy"), "x.npy", "is a pipe or a device"),
    "unknown suffix": (lambda p: (p / "x.txt").touch(), "x.txt", "'.txt'"),
    "no suffix": (lambda p: (p / "x").touch(), "x", "Use one of: .npy, .npz, .h5, .hdf5, .csv."),
    "empty npy": (lambda p: (p / "x.npy").touch(), "x.npy", "can't be read"),
    "empty npz": (lambda p: (p / "x.npz").touch(), "x.npz", "can't be read"),
    "empty h5": (lambda p: (p / "x.h5").touch(), "x.h5", "can't be read"),
    "empty csv": (lambda p: (p / "x.csv").touch(), "x.csv", "is empty"),
    "header only": (lambda p: (p / "x.csv").write_text("a,b\n"), "x.csv", "is empty"),
    "csv in Latin-1": (lambda p: (p / "x.csv").write_bytes(b"\xe9\n1\n"), "x.csv", "utf-8"),
    "npz called npy": (lambda p: write_npz(p / "x.npy", a=ROWS), "x.npy", "can't be read"),
    "npy called npz": (lambda p: write_npy(p / "x.npz", ROWS), "x.npz", "not a zip archive"),
    "npz without arrays": (lambda p: write_npz(p / "x.npz"), "x.npz", "holds no array"),
    "h5 without datasets": (lambda p: write_hdf5(p / "x.h5"), "x.h5", "holds no array"),
    "npz of two": (
        lambda p: write_npz(p / "x.npz", a=ROWS, b=ROWS),
        "x.npz",
        "Add :NAME, with one of: a, b.",
    ),
    "h5 of two": (
        lambda p: write_hdf5(p / "x.h5", a=ROWS, b=ROWS, c=np.arange(3)),
        "x.h5",
        "Add :NAME, with one of: a, b.",
    ),
    "npz, no such array": (
        lambda p: write_npz(p / "x.npz", a=ROWS),
        "x.npz:b",
        "holds no dataset 'b'. Choose one of: a.",
    ),
    "h5, no such dataset": (
        lambda p: write_hdf5(p / "x.h5", **{f"g/{i}": ROWS for i in range(8)}),
        "x.h5:g",
        "one of: g/0, g/1, g/2, g/3, g/4 and 3 more.",
    ),
    "npy with a dataset": (lambda p: write_npy(p / "x.npy", ROWS), "x.npy:a", "a single array"),
    "csv with a dataset": (lambda p: write_csv(p / "x.csv", ROWS), "x.csv:a", "a single array"),
    "ragged": (
        lambda p: (p / "x.csv").write_text("a,b\n\n1,2\n# c\n3,4\n5\n6,7,8\n"),
        "x.csv",
        "line 6 has 1 values where the lines above have 2",
    ),
    "word in csv": (
        lambda p: (p / "x.csv").write_text("1,2\n3,four\n"),
        "x.csv",
        "line 2, column 2 holds 'four', which is not a number",
    ),
    "gap in csv": (
        lambda p: (p / "x.csv").write_text("1,,2\n"),
        "x.csv",
        "line 1, column 2 holds ''",
    ),
    "complex csv": (lambda p: (p / "x.csv").write_text("1,2\n1+2j,3\n"), "x.csv", "'1+2j'"),
    "semicolons": (
        lambda p: (p / "x.csv").write_text("1;2\n3;4\n"),
        "x.csv",
        "line 2, column 1 holds '3;4'",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_files_that_can_not_be_read(tmp_path: Path, case: str) -> None:
    make, name, part = BAD_FILES[case]
    make(tmp_path)
    with pytest.raises(InputError) as caught:
        read_inputs(f"{tmp_path}/{name}")
    check_error(caught.value, "inputs", part)


def with_value(value: float, row: int = 3) -> npt.NDArray[np.float64]:
    rows = ROWS.copy()
    rows[row, 1] = value
    return rows


BAD_VALUES: dict[str, tuple[npt.NDArray[Any], str]] = {
    "1-D": (np.arange(3.0), "has the shape [3], with 1 dimensions. Give a matrix"),
    "3-D": (np.zeros((2, 3, 4)), "has the shape [2, 3, 4], with 3 dimensions"),
    "scalar": (np.array(1.0), "has the shape [], with 0 dimensions"),
    "no rows": (np.zeros((0, 3)), "is empty"),
    "no columns": (np.zeros((3, 0)), "is empty"),
    "complex": (ROWS + 0j, "complex128"),
    "bytes": (np.array([[b"1", b"2"]]), "S1"),
    "record": (np.zeros((2, 2), dtype=[("a", "f8")]), "not real numbers"),
    "NaN": (with_value(math.nan), "holds 1 NaN or infinite values, the first in row 3"),
    "infinities": (
        np.full((4, 2), -math.inf),
        "holds 8 NaN or infinite values, the first in row 0",
    ),
    "too large": (with_value(-1.01e100), "has 1 rows with values beyond 1e+100 in magnitude"),
    "too small": (ROWS * 1e-101, "has 5 rows that are below 1e-100 throughout but not zero"),
}


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.h5"])
@pytest.mark.parametrize("case", BAD_VALUES)
def test_values_that_are_no_inputs(tmp_path: Path, case: str, name: str) -> None:
    values, part = BAD_VALUES[case]
    WRITERS[name](tmp_path / name, values)
    with pytest.raises(InputError) as caught:
        read_inputs(tmp_path / name)
    check_error(caught.value, "inputs", part)


@pytest.mark.parametrize("case", ["NaN", "infinities", "too large", "too small"])
def test_values_in_csv_that_are_no_inputs(tmp_path: Path, case: str) -> None:
    values, part = BAD_VALUES[case]
    write_csv(tmp_path / "x.csv", values)
    with pytest.raises(InputError) as caught:
        read_inputs(tmp_path / "x.csv")
    check_error(caught.value, "inputs", part)


def test_strings_and_empty_datasets_in_hdf5(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "x.h5", words=[["a", "b"]], nothing=h5py.Empty("f8"))
    for name, part in (("words", "not real numbers"), ("nothing", "is empty")):
        with pytest.raises(InputError) as caught:
            read_inputs(f"{tmp_path}/x.h5:{name}")
        check_error(caught.value, "inputs", part)


def test_python_objects_are_never_unpickled(tmp_path: Path) -> None:
    objects = np.array([[1, "a"]], dtype=object)
    write_npy(tmp_path / "x.npy", objects)
    write_npz(tmp_path / "x.npz", a=objects)
    for name in ("x.npy", "x.npz"):
        with pytest.raises(InputError) as caught:
            read_inputs(tmp_path / name)
        check_error(caught.value, "inputs", "Object arrays cannot be loaded")


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.h5"])
def test_a_file_cut_short_is_an_error(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, ROWS)
    whole = (tmp_path / name).read_bytes()
    for length in range(0, len(whole), max(1, len(whole) // 50)):
        (tmp_path / name).write_bytes(whole[:length])
        with pytest.raises(InputError) as caught:
            read_inputs(tmp_path / name)
        check_error(caught.value, "inputs")


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.h5"])
def test_a_file_with_a_wrong_byte_is_read_or_is_an_input_error(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path / name, ROWS)
    whole = (tmp_path / name).read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 100)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        (tmp_path / name).write_bytes(damaged)
        try:
            read_inputs(tmp_path / name)
        except InputError as error:
            check_error(error, "inputs")


# --- notes and digest -----------------------------------------------------------------------------


def test_notes_name_zero_and_constant_rows() -> None:
    inputs = np.random.default_rng(0).normal(size=(1797, 4))
    assert notes(inputs) == []
    inputs[[5, 17, 30]] = [[0.0], [-0.0], [0.0]]
    inputs[8] = -2.5
    zero = (
        "inputs: 3 of 1797 rows are zero (rows 5, 17, 30); "
        "a zero input has no correlation with any other"
    )
    constant = (
        "inputs: 1 of 1797 rows is constant (all components equal) (row 8); "
        "with k = inf constant inputs lie in the null space of the weights"
    )
    assert notes(inputs) == [zero, constant]
    inputs[100:] = 0.0
    assert "1700 of 1797 rows are zero (rows 5, 17, 30, 100, 101 and 1695 more)" in notes(inputs)[0]


def test_digest_is_of_shape_and_values() -> None:
    inputs = np.array([[1.0, -0.0, 2.5], [0.0, 3.0, -1e-3]])
    record = struct.pack("<2Q6d", 2, 3, 1.0, 0.0, 2.5, 0.0, 3.0, -1e-3)
    assert digest(inputs) == hashlib.sha256(record).hexdigest()
    assert digest(inputs + 0.0) == digest(np.asfortranarray(inputs)) == digest(inputs)
    assert digest(inputs.reshape(3, 2)) != digest(inputs)


def test_digest_does_not_depend_on_how_many_rows_are_taken_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = digest(ROWS)
    monkeypatch.setattr("simcore.inputs.matrices._BATCH", 6)
    assert digest(ROWS) == whole


# --- picking pairs --------------------------------------------------------------------------------


def test_picked_pairs_stay_the_same() -> None:
    assert pick_pairs(10, 5, 0) == ((1, 7), (2, 3), (2, 5), (2, 9), (5, 6))
    large = ((48092, 189668), (66552, 504933), (478890, 982643))
    assert pick_pairs(10**6, 3, 2**64 - 1) == large


def shuffled_pairs(count: int, pairs: int, seed: int) -> tuple[tuple[int, int], ...]:
    """The recipe without its shortcuts: every pair in a list, words that need no passing over."""
    ranked = [(a, b) for b in range(count) for a in range(b)]
    words = np.random.Philox(key=np.array([seed, count], dtype=np.uint64)).random_raw(pairs)
    for place, word in enumerate(words.tolist()):
        chosen = place + word % (len(ranked) - place)
        ranked[place], ranked[chosen] = ranked[chosen], ranked[place]
    return tuple(sorted(ranked[:pairs]))


@pytest.mark.parametrize(("count", "pairs"), [(2, 1), (9, 20), (40, 779), (300, 500)])
def test_picking_follows_its_recipe(count: int, pairs: int) -> None:
    # A word is passed over with probability below 1e-14.
    assert pick_pairs(count, pairs, 7) == shuffled_pairs(count, pairs, 7)


def test_words_beyond_the_last_multiple_are_passed_over() -> None:
    words = iter([2**64 - 1, 2**64 - 2, 5])
    assert _below(3, words) == (2**64 - 2) % 3


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 40), st.integers(0, 2**64 - 1), st.data())
def test_picked_pairs_are_distinct_sorted_and_nested(
    count: int, seed: int, data: st.DataObject
) -> None:
    total = count * (count - 1) // 2
    pairs = data.draw(st.integers(1, total))
    picked = pick_pairs(count, pairs, seed)
    assert len(set(picked)) == len(picked) == pairs
    assert list(picked) == sorted(picked)
    assert all(0 <= a < b < count for a, b in picked)
    assert picked == pick_pairs(count, pairs, seed)
    assert set(pick_pairs(count, 1, seed)) <= set(picked)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_all_pairs_if_as_many_are_asked_for(count: int) -> None:
    every = tuple(itertools.combinations(range(count), 2))
    assert pick_pairs(count, len(every), 5) == every


def test_a_billion_inputs_cost_nothing() -> None:
    picked = pick_pairs(10**9, 1000, 1)
    # 1000 pairs: the largest of 2000 uniform row numbers is below 0.99 with probability 2e-9.
    assert 0.99e9 < max(b for _, b in picked) < 10**9


def pick_frequencies(seeds: range, pick: Callable[[int, int, int], Any]) -> float:
    """χ² of how often each of the 210 choices of 4 of the 10 pairs of 5 inputs is made."""
    choices = list(itertools.combinations(itertools.combinations(range(5), 2), 4))
    seen = dict.fromkeys(choices, 0)
    for seed in seeds:
        seen[pick(5, 4, seed)] += 1
    expected = len(seeds) / len(choices)
    return sum((n - expected) ** 2 / expected for n in seen.values())


LIMIT = float(chi2.isf(1e-4, 209))
"""A right law is rejected with probability 1e-4, and 0.2 % of the time in 20 tries."""


def test_every_choice_of_pairs_is_equally_likely() -> None:
    assert pick_frequencies(range(4200), pick_pairs) < LIMIT


def test_a_slightly_wrong_choice_is_rejected() -> None:
    """Every fiftieth seed picks the first four pairs."""
    first = tuple(itertools.combinations(range(5), 2))[:4]

    def wrong(count: int, pairs: int, seed: int) -> Any:
        return pick_pairs(count, pairs, seed) if seed % 50 else first

    assert pick_frequencies(range(4200), wrong) > LIMIT


@pytest.mark.parametrize(
    ("arguments", "field", "part"),
    [
        ((1, 1, 0), "inputs", "Give at least 2 inputs"),
        ((0, 1, 0), "inputs", "Give at least 2 inputs"),
        ((4, 7, 0), "pairs", "must be between 1 and 6, the number of pairs of 4 inputs"),
        ((4, 0, 0), "pairs", "must be between 1 and 6"),
        ((4, 2.5, 0), "pairs", "whole number"),
        ((4, 2, -1), "seed", "must be between 0 and"),
        ((4, 2, 2**64), "seed", "must be between 0 and"),
    ],
)
def test_impossible_picks(arguments: tuple[Any, Any, Any], field: str, part: str) -> None:
    with pytest.raises(InputError) as caught:
        pick_pairs(*arguments)
    check_error(caught.value, field, part)


# --- pairs from files -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRITERS)
def test_pairs_are_read_as_they_stand(tmp_path: Path, name: str) -> None:
    if name == "header.csv":
        write_csv(tmp_path / name, np.array([[3, 1], [0, 2]]), "a,b")
    else:
        WRITERS[name](tmp_path / name, np.array([[3, 1], [0, 2]]))
    assert read_pairs(tmp_path / name, 4) == ((3, 1), (0, 2))


def test_pairs_beside_inputs_in_one_file(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "x.h5", inputs=ROWS, pairs=np.array([[0, 4]]))
    assert read_pairs(tmp_path / "x.h5", 5) == ((0, 4),)
    np.testing.assert_array_equal(read_inputs(tmp_path / "x.h5"), ROWS)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("0,1,2\n", "has 3 columns where a pair has 2"),
        ("0\n", "has 1 columns"),
        ("0,1\n1,4\n", "row 1 (1, 4) does not name two of the 4 inputs. Give whole numbers from 0"),
        ("-1,1\n", "row 0 (-1, 1)"),
        ("0,1.5\n", "row 0 (0, 1.5)"),
        ("0,1\n2,2\n", "row 1 pairs input 2 with itself"),
        ("0,1\n2,3\n1,0\n", "rows 0 and 2 name the same pair (0, 1)"),
        ("0,nan\n", "holds 1 NaN"),
        ("0,1\n2\n", "line 2 has 1 values"),
        ("", "is empty"),
    ],
)
def test_pairs_that_are_none(tmp_path: Path, text: str, part: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        read_pairs(tmp_path / "p.csv", 4)
    check_error(caught.value, "pairs", part)


# --- geometry -------------------------------------------------------------------------------------


def exact_distance(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> Any:
    """1 − c in 120 digits."""
    with mpmath.workdps(120):
        a, b = ([mpmath.mpf(float(v)) for v in row] for row in (x, y))
        product = mpmath.fdot(a, b)
        return 1 - product / mpmath.sqrt(mpmath.fdot(a, a) * mpmath.fdot(b, b))


def near_rows(
    size: int, ratio: float, step: float, scale: float, seed: int
) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=size)
    return scale * np.stack([x, ratio * (x + step * rng.normal(size=size))])


@pytest.mark.parametrize("size", [2, 17, 784])
@pytest.mark.parametrize("ratio", [1.0, 0.7, -3.3, 1e5])
@pytest.mark.parametrize("step", [1.0, 1e-3, 1e-8, 1e-13, 1e-15])
@pytest.mark.parametrize("scale", [1.0, 1e-95, 1e94])
def test_overlap_and_distance_are_right_for_nearly_parallel_rows(
    size: int, ratio: float, step: float, scale: float
) -> None:
    rows = near_rows(size, ratio, step, scale, seed=size)
    geometry = pair_geometry(rows, [(0, 1)])
    exact = exact_distance(*rows)
    assert float(abs(geometry.distance[0] / exact - 1)) < DISTANCE_ERROR
    assert float(abs(geometry.overlap[0] - (1 - exact))) < 1e-15
    for column, row in enumerate(rows):
        q = (geometry.q1, geometry.q2)[column][0]
        m = (geometry.m1, geometry.m2)[column][0]
        assert q == pytest.approx(math.fsum(row * row) / size, rel=1e-14)
        assert m == pytest.approx(math.fsum(row) / size, abs=1e-15 * np.abs(row).max())


def test_the_plain_formula_would_fail_this_test() -> None:
    x, y = near_rows(17, 0.7, 1e-13, 1.0, seed=17)
    a, b = x / np.linalg.norm(x), y / np.linalg.norm(y)
    exact = exact_distance(x, y)
    assert abs((1 - a @ b) / exact - 1) > 0.1
    assert abs(((a - b) @ (a - b) / 2) / exact - 1) > 100 * DISTANCE_ERROR


def test_distances_far_below_the_rounding_of_the_rows() -> None:
    rows = np.array([[1.0, 1e-30], [1.0, 3e-30], [3.0, 3e-30]])
    geometry = pair_geometry(rows, [(0, 1), (2, 1)])
    np.testing.assert_allclose(geometry.distance, 2e-60, rtol=1e-14)


def test_special_pairs() -> None:
    x = np.random.default_rng(3).normal(size=300)
    rows = np.stack([x, x, -x, 2.0 * x, np.zeros(300)])
    geometry = pair_geometry(rows, [(0, 1), (0, 3), (0, 2), (0, 4), (4, 0), (4, 4)])
    np.testing.assert_array_equal(geometry.distance, [0, 0, 2, *[np.nan] * 3])
    np.testing.assert_array_equal(geometry.overlap, [1, 1, -1, *[np.nan] * 3])
    np.testing.assert_array_equal(geometry.q2[3:] == 0.0, [True, False, True])
    unit = pair_geometry(np.eye(3), [(0, 1)])
    assert (unit.overlap[0], unit.distance[0], unit.q1[0], unit.m2[0]) == (0, 1, 1 / 3, 1 / 3)
    assert pair_geometry(rows, []).distance.shape == (0,)


def test_geometry_does_not_depend_on_how_many_pairs_are_taken_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pairs = pick_pairs(5, 7, 0)
    whole = pair_geometry(ROWS, pairs)
    monkeypatch.setattr("simcore.inputs.matrices._BATCH", 6)
    parts = pair_geometry(ROWS, pairs)
    for name in ("q1", "q2", "m1", "m2", "overlap", "distance"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))


# --- the sets in data/ ----------------------------------------------------------------------------


def attributes(name: str) -> dict[str, Any]:
    with h5py.File(DATA / name) as file:
        return dict(file.attrs)


def test_digits() -> None:
    inputs = read_inputs(DATA / "digits.h5")
    assert inputs.shape == (1797, 64)
    assert (inputs.min(), inputs.max()) == (0.0, 16.0)
    assert digest(inputs) == "d65205dc52d1d27385ea46d7539c9d4dadea8c3feb730acda0af1f44d767c24f"
    assert notes(inputs) == []
    with h5py.File(DATA / "digits.h5") as file:
        counts = np.bincount(file["labels"][()])
    # The class sizes that UCI lists for the test part.
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert "CC BY 4.0" in attributes("digits.h5")["licence"]


def test_circle_follows_its_recipe() -> None:
    recipe = runpy.run_path(str(DATA / "make_circle.py"))
    angle, inputs = recipe["circle"]()
    np.testing.assert_allclose(read_inputs(DATA / "circle.h5"), inputs, rtol=0, atol=1e-12)
    with h5py.File(DATA / "circle.h5") as file:
        np.testing.assert_allclose(file["angle"][()], angle, rtol=0, atol=1e-12)
    assert attributes("circle.h5") == recipe["attributes"]()


def test_circle_has_the_length_and_the_correlations_it_claims() -> None:
    inputs = read_inputs(DATA / "circle.h5")
    count, size = inputs.shape
    said = attributes("circle.h5")
    radius = math.sqrt(size * said["q"])
    sides = np.linalg.norm(np.diff(inputs, axis=0, append=inputs[:1]), axis=1)
    np.testing.assert_allclose(sides, 2 * radius * math.sin(math.pi / count), rtol=1e-13)
    assert said["length"] == pytest.approx(2 * math.pi * radius, rel=1e-15)
    # An arc of the angle δ is δ/2/sin(δ/2) times as long as its chord.
    ratio = (math.pi / count) / math.sin(math.pi / count)
    assert sides.sum() * ratio == pytest.approx(said["length"], rel=1e-13)
    pairs = list(itertools.combinations(range(count), 2))
    geometry = pair_geometry(inputs, pairs)
    turn = np.diff(pairs, axis=1)[:, 0] * (2 * math.pi / count)
    np.testing.assert_allclose(geometry.overlap, np.cos(turn), rtol=0, atol=1e-14)
    np.testing.assert_allclose(geometry.distance, 2 * np.sin(turn / 2) ** 2, rtol=1e-12)
    np.testing.assert_allclose(geometry.q1, said["q"], rtol=1e-13)
    np.testing.assert_allclose(geometry.m1, 0.0, rtol=0, atol=1e-14)


def test_the_sets_are_small_and_described() -> None:
    for name in ("digits.h5", "circle.h5"):
        assert (DATA / name).stat().st_size < 150_000
        assert f"## {name}" in (DATA / "README.md").read_text(encoding="utf-8")
        assert {"title", "source", "licence"} <= set(attributes(name))


def test_a_pair_without_an_overlap_has_the_bytes_of_a_nan_from_a_file() -> None:
    """0/0 has a sign, a NaN that was stored may not: shards and their merge would differ."""
    found = pair_geometry(np.array([[0.0, 0.0], [1.0, 2.0]]), [(0, 1)])
    for values in (found.overlap, found.distance):
        assert values.tobytes() == np.array([np.nan]).tobytes()
