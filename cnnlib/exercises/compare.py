"""Showing and comparing values: arrays by shape, dtype and every entry."""

from typing import Any

import numpy as np

NUMBERS = "biufc"  # the kinds of dtype that hold numbers


def show(value: Any, limit: int = 36, digits: int = 4) -> str:
    """A value in a line or a few: small arrays in full, large ones by shape and dtype."""
    try:
        text = _show(value, limit, digits)
    except Exception:  # a learner's class may do anything in its __repr__
        return f"{kind(value)} that cannot be shown"
    return text if isinstance(value, np.ndarray) or len(text) <= 200 else text[:197] + "..."


def _show(value: Any, limit: int, digits: int) -> str:
    if isinstance(value, np.ndarray):
        if value.size > limit:
            return f"array of shape {value.shape}, {value.dtype}"
        return np.array2string(
            value, precision=digits, suppress_small=digits == 4, separator=", ", floatmode="maxprec"
        )
    if isinstance(value, float | np.floating):
        return f"{float(value):.{digits + 2}g}"
    if isinstance(value, np.generic):
        return repr(value.item())
    if type(value) in (tuple, list):
        inside = ", ".join(_show(v, limit, digits) for v in value)
        if isinstance(value, list):
            return f"[{inside}]"
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return repr(value)


def show_pair(expected: Any, got: Any) -> tuple[str, str]:
    """Both values with as many digits as it takes to tell them apart."""
    for digits in (4, 8, 15):
        texts = show(expected, digits=digits), show(got, digits=digits)
        if texts[0] != texts[1]:
            break
    return texts


def structure(got: Any, expected: Any) -> str:
    """What is wrong with the kind, the number or the shape of what came back; empty when right."""
    if got is None and expected is not None:
        return "Your function returned None: does it end in a return?"
    if isinstance(expected, tuple):
        if isinstance(got, tuple | list) and len(got) == len(expected):
            return ""
        found = f"{len(got)}" if isinstance(got, tuple | list) else kind(got)
        return f"{len(expected)} results are wanted, with commas between; {found} came back."
    if not isinstance(expected, np.ndarray):
        return "" if _is_number(got) or type(got) is type(expected) else _wanted(expected, got)
    if not isinstance(got, np.ndarray):
        return f"A NumPy array is wanted; this is {kind(got)}."
    if got.dtype.kind not in NUMBERS and expected.dtype.kind in NUMBERS:
        return f"An array of numbers is wanted; the dtype of this one is {got.dtype}."
    if got.shape == expected.shape:
        return ""
    if sorted(got.shape) == sorted(expected.shape):
        return "The right sizes in the wrong order: check which axis is which."
    if got.size == expected.size:
        return "The right number of values in another shape: an axis is missing or too many."
    if got.ndim != expected.ndim:
        axes = "1 axis" if expected.ndim == 1 else f"{expected.ndim} axes"
        return f"The result should have {axes}; yours has {got.ndim}."
    return _sizes(got.shape, expected.shape)


def _sizes(got: tuple, expected: tuple) -> str:
    off = {n: g - e for n, (g, e) in enumerate(zip(got, expected, strict=True)) if g != e}
    axes = f"axis {next(iter(off))}" if len(off) == 1 else f"axes {' and '.join(map(str, off))}"
    tip = ": count the positions on a small drawing." if min(off) >= len(got) - 2 else "."
    if set(off.values()) == {-1}:
        return f"One too few along {axes}{tip}"
    if set(off.values()) == {1}:
        return f"One too many along {axes}{tip}"
    return f"The size is wrong along {axes}."


def _wanted(expected: Any, got: Any) -> str:
    wanted = "A number" if _is_number(expected) else kind(expected).capitalize()
    return f"{wanted} is wanted; this is {kind(got)}."


def pattern(got: Any, expected: Any, tolerance: float) -> str:
    """What can be said of wrong values without knowing the exercise."""
    if structure(got, expected) or not isinstance(expected, np.ndarray):
        return ""
    if got.dtype.kind not in "iuf" or expected.dtype.kind not in "iuf":
        return ""
    if not np.all(np.isfinite(got)):
        return "There are values that are not finite: a division by zero, or memory never written."
    if not np.all(np.isfinite(expected)):
        return ""
    got, expected = got.astype(np.float64), expected.astype(np.float64)
    if not got.any():
        return "Every value is 0: is anything written into the result?"
    for axes, words in (
        ((-1,), "left to right"),
        ((-2,), "top to bottom"),
        ((-2, -1), "both ways"),
    ):
        fits = expected.ndim >= 2
        if fits and not any_wrong(differs(np.flip(got, axes), expected, tolerance)):
            return f"Your result is the right one mirrored {words}."
    square = expected.ndim >= 2 and expected.shape[-1] == expected.shape[-2]
    if square and not any_wrong(differs(np.swapaxes(got, -1, -2), expected, tolerance)):
        return "Your result is the right one transposed: rows and columns have changed places."
    return _arithmetic(got, expected)


def _arithmetic(got: np.ndarray, expected: np.ndarray) -> str:
    """A constant factor or a constant offset. One value alone would always show both."""
    if not np.any(np.abs(got + expected) > 1e-9 * (1 + np.abs(expected))):
        return "Every value has the wrong sign."
    big = np.abs(expected) > 1e-6
    if np.count_nonzero(big) > 1:
        ratios = got[big] / expected[big]
        if np.allclose(ratios, ratios[0], rtol=1e-6, atol=0) and not np.any(got[~big]):
            return f"Every value is {ratios[0]:.6g} times what it should be."
    offsets = got - expected
    if offsets.size > 1 and np.allclose(offsets, offsets.flat[0], rtol=1e-6, atol=1e-9):
        return f"Every value is off by the same amount, {offsets.flat[0]:.6g}."
    if np.abs(offsets).max() <= 0.01 * np.abs(expected).max():
        return "Close, but not equal. Is something rounded, or stopped too early, or held back?"
    return ""


def as_numpy(value: Any, depth: int = 20) -> Any:
    """Torch tensors and subclasses of arrays as plain arrays, also inside a tuple or list."""
    if isinstance(value, tuple | list):
        inside = (as_numpy(v, depth - 1) if depth else v for v in value)  # may contain itself
        return (tuple if isinstance(value, tuple) else list)(inside)
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    if hasattr(type(value), "detach") and hasattr(type(value), "numpy"):
        return value.detach().cpu().numpy()
    return value


def kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def same(left: Any, right: Any) -> bool:
    """Whether two nests of arguments are equal, arrays by value (NaN equals NaN)."""
    if isinstance(left, np.ndarray):
        return np.array_equal(left, right, equal_nan=left.dtype.kind == "f")
    if isinstance(left, tuple | list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    return True


def any_wrong(problem: Any) -> bool:
    return bool(np.any(problem))


def differs(got: Any, expected: Any, tolerance: float) -> Any:
    """False when equal; else True, or the boolean array of the entries that differ."""
    if isinstance(expected, tuple | list):
        if not isinstance(got, tuple | list) or len(got) != len(expected):
            return True
        return any(any_wrong(differs(g, e, tolerance)) for g, e in zip(got, expected, strict=True))
    if isinstance(expected, np.ndarray):
        if not isinstance(got, np.ndarray) or got.shape != expected.shape:
            return True
        return _entries_that_differ(got, expected, tolerance)
    if isinstance(expected, bool | np.bool_):
        return not (isinstance(got, bool | np.bool_) and bool(got) == bool(expected))
    if _is_number(expected):
        if not _is_number(got):
            return True
        return any_wrong(differs(np.asarray(got), np.asarray(expected), tolerance))
    return type(got) is not type(expected) or got != expected


def _entries_that_differ(got: np.ndarray, expected: np.ndarray, tolerance: float) -> Any:
    kinds = got.dtype.kind + expected.dtype.kind
    if any(k not in NUMBERS for k in kinds):
        return (
            got != expected
            if len(set(kinds)) == 1 and np.any(got != expected)
            else (len(set(kinds)) > 1)
        )
    if np.float32 in (got.dtype, expected.dtype):
        tolerance = max(tolerance, 1e-4)
    wide = np.complex128 if "c" in kinds else np.float64
    got, expected = got.astype(wide), expected.astype(wide)
    with np.errstate(all="ignore"):
        near = np.abs(got - expected) <= tolerance * (1 + np.abs(expected))
    alike = (got == expected) | (np.isnan(got) & np.isnan(expected))
    finite = np.isfinite(got) & np.isfinite(expected)  # ∞ is near everything, by that formula
    wrong = ~np.where(finite, near, alike)
    return wrong if wrong.any() else False


def _is_number(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.shape == () and value.dtype.kind in "iuf"
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
