"""Exercise 02.4, Split a kernel in two."""

from dataclasses import replace

import numpy as np

from cnnlib.exercises.compare import kind, same, show, structure
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_yet, raised


def split_kernel(kernel):
    left, sizes, right = np.linalg.svd(kernel)
    if len(sizes) > 1 and sizes[1] > 1e-10 * sizes[0]:
        raise ValueError(f"expected a separable kernel (rank 1), got singular values {sizes}")
    return left[:, 0] * sizes[0], right[0]


def _split_cases():
    rng = np.random.default_rng(24)
    yield np.array([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]), "a blur"
    yield np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]), "an edge kernel, with a column of zeros"
    yield np.array([[0.0, 0, 0], [0, 3, 6], [0, 1, 2]]), "zeros in the first row and column"
    yield -np.outer([1.0, 2], [3, 1]), "all negative"
    yield np.outer(rng.normal(size=5), rng.normal(size=3)), "5 × 3"


def _not_separable():
    yield np.array([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]), "the Laplacian"
    yield np.eye(3), "a diagonal"
    yield np.array([[1.0, 2], [2, 4.5]]), "nearly separable, but not quite"


def _examine_split(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    for number, (kernel, note) in enumerate(_split_cases()):
        case = ("case", f"{note}:\n{show(kernel)}")
        copy = kernel.copy()
        parts, error = attempt(answer, (copy,))
        if error:
            return replace(
                raised(error, case, attempted=number > 0), cause=_cause_of_refusal(error)
            )
        if problem := _wrong_parts(parts, kernel, case):
            return problem
        if not same(kernel, copy):
            return not_yet(
                "The pair is right, but your function changed the kernel that it was given.",
                case,
                cause="Work on a copy: kernel.copy().",
            )
    for kernel, note in _not_separable():
        case = ("case", f"{note}:\n{show(kernel)}")
        parts, error = attempt(answer, (kernel.copy(),))
        if error is None:
            return not_yet(
                "This kernel has no such pair, so a ValueError was asked for.",
                case,
                ("expected", "a ValueError"),
                ("got", show(parts)),
                cause="Compare the outer product with the kernel (or look at the second singular "
                "value) before you return; if they differ, raise ValueError(…).",
            )
        if not isinstance(error, ValueError):
            expected = ("expected", "a ValueError, since this kernel has no such pair")
            return raised(error, case, expected, attempted=True)
    return correct("5 separable kernels split, 3 others refused.")


def _wrong_parts(parts, kernel: np.ndarray, case: tuple[str, str]) -> Verdict | None:
    if problem := structure(parts, (None, None)):
        return not_yet("Return two vectors: column, row.", case, cause=problem)
    for name, part in zip(("column", "row"), parts, strict=True):
        array, error = attempt(np.asarray, (part,))
        if error or array.dtype.kind not in "biuf":
            return not_yet(
                "Return two vectors of numbers: column, row.",
                case,
                (name, show(part)),
                cause=f"{name} should be an array of numbers; this is {kind(part)}.",
            )
    column, row = (np.asarray(part, dtype=np.float64).ravel() for part in parts)
    if (column.size, row.size) != kernel.shape:
        swapped = (column.size, row.size) == kernel.shape[::-1]
        return not_yet(
            f"column should have {kernel.shape[0]} numbers and row {kernel.shape[1]}.",
            case,
            ("got", f"{column.size} and {row.size}"),
            cause="The two have changed places."
            if swapped
            else "Of each, one vector is wanted: as many numbers as the kernel has rows, and as "
            "many as it has columns.",
        )
    with np.errstate(all="ignore"):
        product = np.outer(column, row)
        near = np.abs(product - kernel).max() < 1e-6 * np.abs(kernel).max()
    if near:
        return None
    return not_yet(
        "np.outer(column, row) is not the kernel.",
        case,
        ("your outer product", show(product)),
        cause=_split_cause(column, row, product, kernel),
    )


def _cause_of_refusal(error: BaseException) -> str:
    """Why a ValueError may come where none belongs."""
    if not isinstance(error, ValueError):
        return ""
    return (
        "This kernel can be split. If it was you who refused it: a singular value that should be 0 "
        "comes out as 1e-16, and a ratio of rows fails where a row begins with 0. Compare with a "
        "tolerance."
    )


def _split_cause(column, row, product: np.ndarray, kernel: np.ndarray) -> str:
    if not np.all(np.isfinite(product)):
        return (
            "There are values that are not finite: you divided by a 0 that stands in this kernel, "
            "or took the root of a negative number."
        )
    if np.abs(product).max() < 1e-12:
        return "All zeros: the row or column that you took as a pattern is a row of zeros here."
    overlap = float((product * kernel).sum() / (product**2).sum())
    if np.abs(product * overlap - kernel).max() < 1e-8:
        if abs(overlap + 1) < 1e-8:
            return "Only the sign is wrong: singular vectors come in pairs, use both from one svd."
        return (
            f"The pattern is right, the size is not: it must be {overlap:.4g} times as large. With "
            "an svd, multiply by the singular value once, not twice and not never."
        )
    if product.shape == kernel.shape[::-1] and np.abs(product.T - kernel).max() < 1e-8:
        return "The two have changed places: the column comes first."
    left, _, right = np.linalg.svd(kernel)
    if _parallel(row, right[:, 0]):
        return (
            "np.linalg.svd returns the right vectors already transposed: they are its rows, so "
            "right[0], not right[:, 0]."
        )
    if _parallel(column, left[0]):
        return "The left singular vectors are the columns: left[:, 0], not left[0]."
    return (
        "Every row of the outer product is a multiple of `row`, and every column one of `column`. "
        "Which multiples does this kernel need?"
    )


def _parallel(one: np.ndarray, other: np.ndarray) -> bool:
    product = np.linalg.norm(one) * np.linalg.norm(other)
    return one.shape == other.shape and bool(abs(one @ other) > (1 - 1e-9) * product)


EXERCISE = Exercise(
    id="02.4",
    title="Split a kernel in two",
    objective="tell whether a kernel is separable, and split it",
    level=2,
    minutes=15,
    points=3,
    hints=(
        "In np.outer(column, row) every row is a multiple of the same row. What does that say of "
        "the kernel's rank?",
        "np.linalg.svd writes any matrix as a sum of outer products, the largest first. One term "
        "must be enough.",
        "left, sizes, right = np.linalg.svd(kernel): the pair is left[:, 0] * sizes[0] and "
        "right[0], if sizes[1] is nothing but rounding error.",
    ),
    solution=split_kernel,
    examine=_examine_split,
)
