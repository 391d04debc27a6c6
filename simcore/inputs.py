"""Inputs from files: reading and checking them, choosing pairs of them, and their geometry.

A file holds a matrix whose rows are inputs. Rows are numbered from 0 everywhere.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .checks import check_integer
from .errors import InputError

__all__ = [
    "PairGeometry",
    "digest",
    "notes",
    "pair_geometry",
    "pick_pairs",
    "read_inputs",
    "read_pairs",
]

Floats = npt.NDArray[np.float64]
Pairs = tuple[tuple[int, int], ...]

_LARGEST = 1e100
"""Largest magnitude of a value, and 1/smallest of a row: products of four must not overflow."""

_WORDS = 2**64
"""Values of one word of the generator that picks the pairs."""

_BATCH = 2**20
"""Numbers held at once, per array, where a matrix is worked through in parts."""

_SHOWN = 5
"""Names or rows listed in a message."""

_DAMAGE = (
    OSError,
    RuntimeError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    OverflowError,
    MemoryError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
    SyntaxError,
)
"""What NumPy, zipfile and h5py raise, by and by, on damaged files."""


# --- reading -------------------------------------------------------------------------------------


def read_inputs(source: str | os.PathLike[str]) -> Floats:
    """Read a matrix whose rows are inputs.

    Parameters
    ----------
    source
        FILE or FILE:DATASET. The suffix names the format: .npy, .npz, .h5, .hdf5, or .csv (commas,
        at most one header line, which holds no number). DATASET is needed only where an archive
        holds several arrays, or an HDF5 file several matrices of numbers, and none is called
        ``inputs``.

    Returns
    -------
    ndarray
        The inputs, float64, shape (M, N₀), C order. All values are finite; a row is zero, or its
        largest magnitude lies between 1e-100 and 1e100.

    Raises
    ------
    InputError
        If there is no such file or dataset, it can't be read, or it breaks one of these rules.
    """
    text = os.fspath(source)
    inputs = _read_matrix("inputs", text)
    _check_magnitudes("inputs", text, inputs)
    return inputs


def read_pairs(source: str | os.PathLike[str], count: int) -> Pairs:
    """Read pairs of inputs: a matrix with two columns of row numbers, counted from 0.

    Parameters
    ----------
    source
        As for `read_inputs`; the dataset taken without being named is ``pairs``.
    count
        Number of inputs M.

    Returns
    -------
    tuple of (int, int)
        The pairs, in the order of the file and each as it stands there.

    Raises
    ------
    InputError
        If the file can't be read, or a pair is out of range, of one input, or there twice.
    """
    text = os.fspath(source)
    values = _read_matrix("pairs", text)
    if values.shape[1] != 2:
        rule = f"has {values.shape[1]} columns where a pair has 2"
        raise InputError("pairs", text, rule, "Give two row numbers of the inputs in each row.")
    wrong = np.flatnonzero(((values != np.floor(values)) | (values < 0) | (values >= count)).any(1))
    if wrong.size:
        a, b = values[wrong[0]].tolist()
        rule = f"row {wrong[0]} ({a:g}, {b:g}) does not name two of the {count} inputs"
        raise InputError("pairs", text, rule, f"Give whole numbers from 0 to {count - 1}.")
    pairs = tuple((int(a), int(b)) for a, b in values.tolist())
    _check_distinct(text, pairs)
    return pairs


def _check_distinct(text: str, pairs: Pairs) -> None:
    """Refuse a pair of an input with itself, and a pair that is there twice in either order."""
    rows: dict[tuple[int, int], int] = {}
    for row, (a, b) in enumerate(pairs):
        if a == b:
            rule = f"row {row} pairs input {a} with itself"
            raise InputError("pairs", text, rule, "Name two different inputs.")
        first = rows.setdefault((min(a, b), max(a, b)), row)
        if first != row:
            rule = f"rows {first} and {row} name the same pair ({min(a, b)}, {max(a, b)})"
            raise InputError("pairs", text, rule, "Name each pair once.")


def _read_matrix(field: str, text: str) -> Floats:
    """Read a matrix of finite numbers; whatever goes wrong becomes an InputError."""
    with _reading(field, text):
        path, dataset = _split(text)
        _check_file(field, text, path)
        values = _READERS[path.suffix.lower()](_Source(field, text, path, dataset))
    return _checked(field, text, values)


@contextmanager
def _reading(field: str, text: str) -> Iterator[None]:
    """Turn whatever a damaged file makes a library raise into an InputError."""
    try:
        yield
    except InputError:
        raise
    except _DAMAGE as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        rule = f"can't be read ({' '.join(reason.split())})"
        remedy = "Check that the file is whole, of the kind that its suffix says, and readable."
        raise InputError(field, text, rule, remedy) from error


@dataclass(frozen=True)
class _Source:
    """What to read: the file, the dataset if one is named, and how to speak of them."""

    field: str
    text: str
    path: Path
    dataset: str | None

    def error(self, rule: str, remedy: str) -> InputError:
        return InputError(self.field, self.text, rule, remedy)


def _split(text: str) -> tuple[Path, str | None]:
    """Split FILE:DATASET; a colon that is part of the name of an existing file stays there."""
    if Path(text).exists():
        return Path(text), None
    colons = [i for i, character in enumerate(text) if character == ":"]
    existing = [i for i in reversed(colons) if Path(text[:i]).is_file()]
    likely = [i for i in colons if Path(text[:i]).suffix.lower() in _READERS]
    for cut in chain(existing, likely):
        return Path(text[:cut]), text[cut + 1 :] or None
    return Path(text), None


def _check_file(field: str, text: str, path: Path) -> None:
    if path.is_dir():
        raise InputError(field, text, "is a folder", "Name a file.")
    if not path.exists():
        raise InputError(field, text, "there is no such file", "Check the name.")
    if path.suffix.lower() not in _READERS:
        rule = f"has the suffix '{path.suffix}', which names no format that is read"
        raise InputError(field, text, rule, f"Use one of: {', '.join(_READERS)}.")


# --- formats -------------------------------------------------------------------------------------


def _read_npy(source: _Source) -> npt.NDArray[Any]:
    _check_single(source)
    with source.path.open("rb") as file:
        values: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return values


def _read_npz(source: _Source) -> npt.NDArray[Any]:
    if not zipfile.is_zipfile(source.path):
        raise ValueError("not a zip archive")
    # NumPy leaves a damaged file open that it opened itself.
    with source.path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        name = _choose(source, archive.files, archive.files)
        return np.asarray(archive[name])


def _read_hdf5(source: _Source) -> npt.NDArray[Any]:
    import h5py

    with h5py.File(source.path, "r", locking=False) as file:
        found: dict[str, Any] = {}

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                found[name] = item

        file.visititems(visit)
        matrices = [name for name, item in found.items() if _is_matrix(item)]
        dataset = found[_choose(source, list(found), matrices)]
        return np.empty((0, 0)) if dataset.shape is None else np.asarray(dataset[()])


def _is_matrix(dataset: Any) -> bool:
    return dataset.shape is not None and dataset.ndim == 2 and dataset.dtype.kind in "buif"


def _check_single(source: _Source) -> None:
    if source.dataset is not None:
        rule = f"names the dataset '{source.dataset}', but such a file holds a single array"
        raise source.error(rule, f"Give {source.path} alone.")


def _choose(source: _Source, names: Sequence[str], candidates: Sequence[str]) -> str:
    """Return the dataset that is named, else the one called like the field, else the only one.

    Raises
    ------
    InputError
        If the one named is missing, or none is named and several would do.
    """
    if not names:
        raise source.error("holds no array", "Choose another file.")
    if source.dataset is not None:
        if (wanted := source.dataset.strip("/")) in names:
            return wanted
        rule = f"holds no dataset '{source.dataset}'"
        raise source.error(rule, f"Choose one of: {_few(names)}.")
    called = [name for name in names if name.rpartition("/")[2] == source.field]
    usable = called or candidates or names
    if len(usable) > 1:
        rule = f"holds {len(usable)} arrays, and which one to read is not said"
        raise source.error(rule, f"Add :NAME, with one of: {_few(usable)}.")
    return usable[0]


def _read_csv(source: _Source) -> npt.NDArray[Any]:
    _check_single(source)
    head = list(islice(_csv_lines(source.path), 2))
    header = bool(head) and not any(map(_is_number, head[0][1]))
    if len(head) == header:
        return np.empty((0, 0))
    skip = head[0][0] if header else 0
    try:
        return np.loadtxt(
            source.path,
            delimiter=",",
            quotechar='"',
            skiprows=skip,
            ndmin=2,
            encoding="utf-8-sig",
        )
    except ValueError:
        if (fault := _csv_fault(source.path, skip)) is None:
            raise
        remedy = "Give the same number of numbers in every line, separated by commas."
        raise source.error(fault, remedy) from None


def _csv_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number, from 1, and the cells of each line that is not blank or a # comment."""
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if content := line.partition("#")[0].strip():
                yield number, [cell.strip().strip('"') for cell in content.split(",")]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _csv_fault(path: Path, skip: int) -> str | None:
    """Say what is wrong in the first wrong line below the header, if anything."""
    columns = 0
    for number, cells in _csv_lines(path):
        if number <= skip:
            continue
        for cell in cells:
            if not _is_number(cell):
                return f"line {number} holds '{cell}', which is not a number"
        columns = columns or len(cells)
        if len(cells) != columns:
            return f"line {number} has {len(cells)} values where the lines above have {columns}"
    return None


_READERS: dict[str, Callable[[_Source], npt.NDArray[Any]]] = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    ".csv": _read_csv,
}


# --- checks --------------------------------------------------------------------------------------


def _checked(field: str, text: str, values: npt.NDArray[Any]) -> Floats:
    """Return a matrix as float64 in C order, or say why it is none."""
    if values.dtype.kind not in "buif":
        rule = f"holds values of the type {values.dtype}, not real numbers"
        raise InputError(field, text, rule, "Store integers or floating-point numbers.")
    if values.ndim != 2:
        rule = f"has the shape {list(values.shape)}, with {values.ndim} dimensions"
        remedy = "Give a matrix, 2 dimensions, with one row for each input or pair."
        raise InputError(field, text, rule, remedy)
    if not values.size:
        raise InputError(field, text, "is empty", "Give at least one row and one column.")
    # A long double beyond the range of float64 becomes an infinity, which is refused below.
    with np.errstate(over="ignore"):
        matrix: Floats = np.ascontiguousarray(values, dtype=np.float64)
    finite = np.isfinite(matrix)
    if not finite.all():
        row = int(np.flatnonzero(~finite.all(axis=1))[0])
        number = matrix.size - np.count_nonzero(finite)
        rule = f"holds {number} NaN or infinite values, the first in row {row}, from 0"
        raise InputError(field, text, rule, "Remove or replace them.")
    return matrix


def _check_magnitudes(field: str, text: str, inputs: Floats) -> None:
    """Refuse rows whose squares could leave the range of float64."""
    largest = _largest(inputs)
    least = 1.0 / _LARGEST
    for wrong, what in (
        (largest > _LARGEST, f"with values beyond {_LARGEST:g} in magnitude"),
        ((largest > 0.0) & (largest < least), f"that are below {least:g} throughout but not zero"),
    ):
        if wrong.any():
            first = np.flatnonzero(wrong)[0]
            rule = f"has {np.count_nonzero(wrong)} rows {what}, the first row {first}, from 0"
            raise InputError(field, text, rule, "Rescale the inputs.")


def _largest(inputs: Floats) -> Floats:
    """Return the largest magnitude in each row, shape (M,)."""
    largest: Floats = np.maximum(inputs.max(axis=1), -inputs.min(axis=1))
    return largest


def _few(names: Sequence[object]) -> str:
    """Return the first names, and how many more there are."""
    rest = len(names) - _SHOWN
    return ", ".join(map(str, names[:_SHOWN])) + (f" and {rest} more" if rest > 0 else "")


def notes(inputs: Floats) -> list[str]:
    """Return what is allowed but worth saying of inputs: zero rows and constant rows.

    Parameters
    ----------
    inputs
        Inputs, shape (M, N₀).

    Returns
    -------
    list of str
        One line for each kind of row that occurs.
    """
    low, high = inputs.min(axis=1), inputs.max(axis=1)
    zero = (low == 0.0) & (high == 0.0)
    constant = (low == high) & ~zero
    kinds = (
        (zero, "zero", "a zero input has no correlation with any other"),
        (
            constant,
            "constant (all components equal)",
            "with k = inf constant inputs lie in the null space of the weights",
        ),
    )
    return [_note(rows, kind, meaning) for rows, kind, meaning in kinds if rows.any()]


def _note(rows: npt.NDArray[np.bool_], kind: str, meaning: str) -> str:
    which = np.flatnonzero(rows).tolist()
    verb, noun = ("is", "row") if len(which) == 1 else ("are", "rows")
    return (
        f"inputs: {len(which)} of {rows.size} rows {verb} {kind} ({noun} {_few(which)}); {meaning}"
    )


def digest(inputs: Floats) -> str:
    """Return a digest of inputs that is the same for the same numbers on every machine.

    Parameters
    ----------
    inputs
        Inputs, shape (M, N₀).

    Returns
    -------
    str
        SHA-256, in hexadecimal, of M and N₀ (64-bit) and the values row by row (float64), all
        little-endian, with −0 as 0.
    """
    record = hashlib.sha256(struct.pack("<2Q", *inputs.shape))
    for rows in _batches(len(inputs), inputs.shape[1]):
        # Adding 0 turns −0 into 0.
        record.update((inputs[rows] + 0.0).astype("<f8").tobytes())
    return record.hexdigest()


def _batches(rows: int, columns: int) -> Iterator[slice]:
    """Cut rows into runs of at most about `_BATCH` numbers."""
    step = max(1, _BATCH // max(1, columns))
    return (slice(start, start + step) for start in range(0, rows, step))


# --- choosing pairs ------------------------------------------------------------------------------


def pick_pairs(count: int, pairs: int, seed: int) -> Pairs:
    """Draw distinct unordered pairs of inputs, all choices equally likely.

    The pairs (a, b), a < b, are ranked by b(b − 1)/2 + a, and the ranks shuffled by Fisher and
    Yates, as far as needed. Its draws are words of Philox4x64-10 (NumPy's) under the key
    (seed, count), reduced modulo the number of ranks left, words above the largest multiple of it
    being passed over. More pairs of the same inputs and seed therefore contain the fewer.

    Parameters
    ----------
    count
        Number of inputs M, at least 2.
    pairs
        Number of pairs, from 1 to M(M − 1)/2.
    seed
        Any number from 0 to 2⁶⁴ − 1.

    Returns
    -------
    tuple of (int, int)
        The pairs (a, b) of row numbers with a < b, sorted.

    Raises
    ------
    InputError
        If there are fewer than 2 inputs, or not that many pairs of them.
    """
    check_integer("seed", seed, 0, _WORDS - 1)
    total = _number_of_pairs(count)
    check_integer("pairs", pairs, -_WORDS, _WORDS)
    if not 1 <= pairs <= total:
        rule = f"must be between 1 and {total}, the number of pairs of {count} inputs"
        raise InputError("pairs", pairs, rule, "Choose a value in that range, or give more inputs.")
    return tuple(sorted(_pair(rank) for rank in _draw_ranks(total, pairs, (seed, count))))


def _number_of_pairs(count: int) -> int:
    if count < 2:
        rule = "is too few inputs for a pair"
        raise InputError("inputs", count, rule, "Give at least 2 inputs.")
    return count * (count - 1) // 2


def _draw_ranks(total: int, number: int, key: tuple[int, int]) -> list[int]:
    """Draw `number` distinct ranks below `total`: the head of a shuffle, moved ranks only kept."""
    words = _words(key)
    moved: dict[int, int] = {}
    ranks = []
    for place in range(number):
        chosen = place + _below(total - place, words)
        ranks.append(moved.get(chosen, chosen))
        moved[chosen] = moved.pop(place, place)
    return ranks


def _below(bound: int, words: Iterator[int]) -> int:
    """Draw a number from 0 to `bound` − 1, every one equally likely."""
    limit = _WORDS - _WORDS % bound
    return next(word for word in words if word < limit) % bound


def _words(key: tuple[int, int]) -> Iterator[int]:
    """Yield the 64-bit words of Philox4x64-10 under a key."""
    generator = np.random.Philox(key=np.array(key, dtype=np.uint64))
    while True:
        yield from generator.random_raw(256).tolist()


def _pair(rank: int) -> tuple[int, int]:
    """Return the pair (a, b), a < b, with rank b(b − 1)/2 + a."""
    b = (1 + math.isqrt(1 + 8 * rank)) // 2
    return rank - b * (b - 1) // 2, b


# --- geometry ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PairGeometry:
    """What an infinitely wide network sees of pairs of inputs; every array has shape (P,).

    Parameters
    ----------
    q1, q2
        Mean squares |x|²/N₀ of the first and the second input.
    m1, m2
        Means of their components.
    overlap
        c₀ = x₁·x₂/(|x₁||x₂|), NaN where an input is zero.
    distance
        1 − c₀, computed without cancellation, exactly 0 for equal inputs; NaN as above.
    """

    q1: Floats
    q2: Floats
    m1: Floats
    m2: Floats
    overlap: Floats
    distance: Floats


def pair_geometry(inputs: Floats, pairs: Sequence[tuple[int, int]]) -> PairGeometry:
    """Compute lengths, means and overlaps of pairs of inputs.

    Parameters
    ----------
    inputs
        Inputs as `read_inputs` returns them, shape (M, N₀).
    pairs
        Row numbers of the P pairs.

    Returns
    -------
    PairGeometry
        The terms of K¹ in theory.md (2) for each pair.
    """
    index = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    found = np.empty((6, len(index)))
    for rows in _batches(len(index), inputs.shape[1]):
        x, y = inputs[index[rows, 0]], inputs[index[rows, 1]]
        found[:4, rows] = [_dot(x, x), _dot(y, y), x.sum(axis=1), y.sum(axis=1)]
        found[4:, rows] = _overlap_and_distance(x, y)
    found[:4] /= inputs.shape[1]
    return PairGeometry(*found)


def _dot(x: Floats, y: Floats) -> Floats:
    """Return the dot product of each pair of rows, shape (P,)."""
    products: Floats = (x * y).sum(axis=1)
    return products


def _overlap_and_distance(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return c₀ and 1 − c₀ of each pair of rows, shape (P,).

    y is split into κx and a part r orthogonal to x; with p = κ|x|, c₀ = p/√(p² + r²). A rounded κ
    leaves in r a part along x, near 1e-16 |y|, which a second step takes out; as long as the
    products κx are exact this keeps r right where it is far smaller than that.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        square = _dot(x, x)
        kappa = _dot(x, y) / square
        product, error = _exact_product(kappa[:, None], x)
        residual = (product - y) + error
        excess = _dot(residual, x) / square
        residual -= excess[:, None] * x
        along, across = (kappa - excess) * np.sqrt(square), _dot(residual, residual)
        length = np.sqrt(along * along + across)
        overlap = along / length
        distance = np.where(along > 0.0, across / (length * (length + along)), 1.0 - overlap)
    return overlap, distance


def _exact_product(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return ab as a rounded product and its error (Dekker 1971)."""
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    product = a * b
    return product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2


def _halves(x: Floats) -> tuple[Floats, Floats]:
    """Split numbers into two of half the bits, whose products are exact (Veltkamp)."""
    large = (2.0**27 + 1.0) * x
    high = large - (large - x)
    return high, x - high
