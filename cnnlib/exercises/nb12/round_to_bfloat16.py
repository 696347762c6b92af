"""Exercise 12.2, Sixteen bits by hand: compared with torch bit by bit."""

import numpy as np

from cnnlib.exercises.compare import kind, same, structure
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_attempted, not_yet, raised


def round_to_bfloat16(values):
    bits = values.view(np.uint32)
    last_kept = (bits >> 16) & 1
    rounded = (bits + (0x7FFF + last_kept)) & 0xFFFF0000  # a tie goes up only from an odd number
    quiet = (bits | 0x00400000) & 0xFFFF0000  # one bit that survives keeps a NaN a NaN
    chosen = np.where(np.isnan(values), quiet, rounded)
    return chosen.astype(np.uint32).view(np.float32)


def _oracle(values):
    import torch

    return torch.from_numpy(np.array(values)).to(torch.bfloat16).float().numpy()


def _floats(*bits: int) -> np.ndarray:
    return np.array(bits, dtype=np.uint32).view(np.float32)


def _cases():
    """(what is special, values), simplest first."""
    rng = np.random.default_rng(122)
    yield "numbers that bfloat16 holds", np.float32([0, 1, -2, 0.5, 256, -0.15625])
    yield "to the nearest", np.float32([1.001, 1.006, 3.14159, -2.71828, 1e-3, 12345.678, -0.3])
    yield "256 to 260", np.arange(256, 261, dtype=np.float32)
    halves = _floats(0x3F808000, 0x3F818000, 0xBF808000, 0xBF818000, 0x41228000)
    yield "exactly halfway between two", halves
    near = _floats(0x3F807FFF, 0x3F808001, 0x3F817FFF, 0x3F818001, 0xBF808001)
    yield "one bit beside halfway", near
    yield "up into the next power of two", _floats(0x3FFFFFFF, 0x3FFF8000, 0xC07FC000)
    yield "0.0 and -0.0", np.float32([0.0, -0.0])
    yield "infinities", np.float32([np.inf, -np.inf])
    largest = _floats(0x7F7F0000, 0x7F7F7FFF, 0x7F7F8000, 0x7F7FFFFF, 0xFF7FFFFF)
    yield "near the largest float32", largest
    tiny = _floats(0x00000001, 0x00008000, 0x00018000, 0x00018001, 0x007FFFFF, 0x80012345)
    yield "subnormals, the smallest numbers", tiny
    yield "NaN", np.float32([np.nan, 1.0])
    yield "NaN with other bits set", _floats(0x7F800001, 0xFF80FFFF, 0x7FFFFFFF, 0xFFFFFFFF)
    grid = rng.normal(size=(4, 6, 5)).astype(np.float32)
    yield "shape (4, 6, 5)", grid
    yield "shape (0, 3)", np.zeros((0, 3), np.float32)
    yield "every other column, transposed and mirrored: not contiguous", grid[::-1, ::2].T
    any_bits = rng.integers(0, 2**32, 4000, dtype=np.uint32)
    yield "4,000 random patterns of bits", any_bits.view(np.float32)


def _on_bits(rule):
    """A wrong way that works on the bits, as a function of values."""

    def wrong(values):
        bits = np.array(values).view(np.uint32).astype(np.uint64)
        return (rule(bits) & 0xFFFFFFFF).astype(np.uint32).view(np.float32)

    return wrong


_KEEP = 0xFFFF0000


def _even(bits):
    return (bits + 0x7FFF + ((bits >> 16) & 1)) & _KEEP


def _nan_kept(rule):
    def wrong(values):
        return np.where(np.isnan(values), np.float32(np.nan), _on_bits(rule)(values))

    return wrong


def _quietly(function):
    def wrong(values):
        with np.errstate(all="ignore"):
            return function(values)

    return wrong


@_quietly
def _significant(values):
    size = 10.0 ** (2 - np.floor(np.log10(np.abs(values, dtype=np.float64))))
    rounded = np.round(values * size) / size
    return np.where(np.isfinite(values) & np.isfinite(size), rounded, values).astype(np.float32)


@_quietly
def _half_up(values):
    """A tie goes towards plus infinity, whatever its sign."""
    return np.where(
        np.signbit(values), _nan_kept(lambda b: (b + 0x7FFF) & _KEEP)(values), _AWAY(values)
    )


@_quietly
def _saturated(values):
    right = _oracle(values)
    grown = np.isinf(right) & np.isfinite(values)
    return np.where(grown, np.copysign(_floats(0x7F7F0000), values), right)


@_quietly
def _flushed(values):
    right = _oracle(values)
    return np.where(np.abs(values) < 2.0**-126, np.copysign(np.float32(0), values), right)


def _cut(bits):
    return bits & _KEEP


_AWAY = _nan_kept(lambda b: (b + 0x8000) & _KEEP)
_CUT = (
    "The lower sixteen bits were cut off, which rounds towards 0. The nearest is wanted: add "
    "before you cut."
)
_TIE_AWAY = (
    "A tie always goes away from 0 here, because 0x8000 is added whatever the last kept bit is. "
    "It should go to the even neighbour: add 0x7FFF, and 1 more if the last kept bit is 1."
)
_NAN_CARRIED = (
    " A NaN is an exponent full of ones with something below. Adding may carry into the sign, or "
    "cutting leave nothing below: treat NaN by itself, (bits | 0x400000) & 0xFFFF0000."
)
FAULTS = (
    (_on_bits(_cut), _CUT + _NAN_CARRIED),
    (_nan_kept(_cut), _CUT),
    (_AWAY, _TIE_AWAY),
    (_on_bits(lambda b: (b + 0x8000) & _KEEP), _TIE_AWAY + _NAN_CARRIED),
    (_half_up, "Ties go up here, −1.5 to −1 so to speak; they should go to the even neighbour."),
    (
        _nan_kept(lambda b: (b + 0x7FFF) & _KEEP),
        "A tie always goes towards 0 here. It should go to the even neighbour: 1 more is added if "
        "the last kept bit is 1.",
    ),
    (
        _nan_kept(lambda b: (b + 0x7FFF + (((b >> 16) & 1) ^ 1)) & _KEEP),
        "Ties go to the odd neighbour: add 1 more if the last kept bit is 1, not if it is 0.",
    ),
    (_on_bits(_even), "Rounding is right, NaN is not." + _NAN_CARRIED),
    (
        _on_bits(lambda b: b + 0x7FFF + ((b >> 16) & 1)),
        "The lower sixteen bits are still there: & 0xFFFF0000 clears them.",
    ),
    (_nan_kept(lambda b: b), "Nothing was rounded."),
    (
        _quietly(lambda values: values.astype(np.float16).astype(np.float32)),
        "This is float16: ten bits of fraction, and nothing above 65,504. bfloat16 has float32's "
        "exponent and seven bits of fraction.",
    ),
    (_quietly(lambda v: np.round(v, 2)), "Decimal digits were rounded; bfloat16 rounds binary."),
    (_quietly(lambda v: np.round(v, 3)), "Decimal digits were rounded; bfloat16 rounds binary."),
    (_significant, "Three decimal digits were kept; bfloat16 keeps eight binary ones."),
    (
        _saturated,
        "Beyond the largest bfloat16 the result is infinite: the carry into the exponent does "
        "that by itself, so nothing need be clipped.",
    ),
    (_flushed, "Subnormals became 0. On the bits they need no treatment of their own."),
    (
        _quietly(lambda v: np.where(np.isnan(v), np.float32(0), _oracle(v))),
        "NaN became 0: whoever looks for NaN in a training run would find nothing.",
    ),
    (
        _quietly(lambda v: np.where(np.isnan(v), np.float32(np.inf), _oracle(v))),
        "NaN became infinite." + _NAN_CARRIED,
    ),
    (_quietly(lambda v: _oracle(v) + np.float32(0)), "−0.0 lost its sign."),
)


def _wrong(got: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Where the bits differ; one NaN is as good as another."""
    differ = _bits(got) != _bits(expected)
    return differ & ~(np.isnan(got) & np.isnan(expected))


def _bits(values: np.ndarray) -> np.ndarray:
    return np.array(values, dtype=np.float32).view(np.uint32)


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    cases, results = list(_cases()), []
    for number, (note, values) in enumerate(cases):
        given, at = values.view(), ("case", f"{note}: values {values.shape} float32")
        given = given if not given.flags.c_contiguous else values.copy()
        before = values.copy()
        got, error = attempt(answer, (given,))
        if isinstance(error, NotImplementedError) and number == 0:
            return not_attempted()
        if error:
            return raised(error, at, attempted=number > 0)
        expected = _oracle(before)
        if problem := _unfit_result(got, expected, at):
            return problem
        if not same(_bits(given), _bits(before)):
            cause = "Work on a copy: a view of the bits is the array itself, so += writes into it."
            return not_yet("Your function changed its input.", at, cause=cause)
        results.append((got, expected, before))
    return _judge(results, cases)


def _unfit_result(got, expected, at) -> Verdict | None:
    if isinstance(got, np.ndarray) and got.shape == expected.shape:
        if got.dtype == np.float32:
            return None
        cause = "The bits of a float32 are read as one with .view(np.float32)."
        if got.dtype.kind in "iu":
            cause = "These are whole numbers. " + cause + " .astype would convert their value."
        elif got.dtype == np.float64:
            cause = "Somewhere the values became float64; float32 in, float32 out."
        pair = ("expected", "float32"), ("got", str(got.dtype))
        return not_yet("The result has another dtype.", at, *pair, cause=cause)
    cause = structure(got, expected) or f"An array is wanted; this is {kind(got)}."
    found = f"shape {got.shape}" if isinstance(got, np.ndarray) else kind(got)
    pair = ("expected", f"an array of shape {expected.shape}"), ("got", found)
    return not_yet("The result has another shape or kind.", at, *pair, cause=cause)


def _judge(results, cases) -> Verdict:
    wrong = [_wrong(got, expected).any() for got, expected, _ in results]
    if not any(wrong):
        return correct(f"{len(cases)} cases, equal to torch's bfloat16 bit by bit.")
    first = wrong.index(True)
    got, expected, values = results[first]
    index = tuple(int(i) for i in np.argwhere(_wrong(got, expected))[0])
    note, _ = cases[first]
    return not_yet(
        f"{wrong.count(False)} of {len(wrong)} cases are right. The first that differs:",
        ("case", f"{note}: {_show(values[index])}"),
        ("expected", "NaN" if np.isnan(expected[index]) else _show(expected[index])),
        ("got", _show(got[index])),
        cause=_cause(results, first),
    )


def _show(value: np.float32) -> str:
    return f"{value!s} = 0x{int(_bits(value)):08X}"


def _cause(results, first) -> str:
    """The known fault that gives the learner's results in this case, and in most others."""
    best, most = "", 0
    for fault, says in FAULTS:
        alike = [not _wrong(got, fault(values)).any() for got, _, values in results]
        if alike[first] and sum(alike) > max(most, len(results) // 2):
            best, most = says, sum(alike)
    if best:
        return best
    got, expected, _ = results[first]
    if np.any(_bits(got) & 0xFFFF):
        return "The lower sixteen bits of the result should be 0."
    if np.any(np.isnan(got) != np.isnan(expected)):
        return "NaN, and only NaN, becomes NaN." + _NAN_CARRIED
    return "Compare the bits of the two neighbours with yours: which of them is nearer?"


EXERCISE = Exercise(
    id="12.2",
    title="Sixteen bits by hand",
    objective="round float32 to bfloat16 on the bits, ties to even, with every special value right",
    level=3,
    minutes=25,
    points=4,
    hints=(
        "bits = values.view(np.uint32): sign, eight bits of exponent, 23 of fraction. Cutting "
        "with & 0xFFFF0000 rounds towards 0. What has to be added before, for the nearest?",
        "0x8000 is half of what is cut off, but sends every tie up. 0x7FFF sends every tie down. "
        "Add 0x7FFF plus the last bit that is kept, (bits >> 16) & 1.",
        "The carry into the exponent is right as it is, up to infinity. Only NaN needs care: "
        "np.where(np.isnan(values), (bits | 0x400000) & 0xFFFF0000, …), then .view(np.float32).",
    ),
    solution=round_to_bfloat16,
    examine=_examine,
)
