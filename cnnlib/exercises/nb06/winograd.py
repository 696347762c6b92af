"""Exercise 06.10, Sixteen products instead of thirty-six; and the whole layer made that way."""

from dataclasses import dataclass, field

import numpy as np

from cnnlib.exercises.compare import any_wrong, differs, show, structure
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_yet, raised


def winograd_tile(tile, kernel):
    B = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
    G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
    A = np.array([[1, 1, 1, 0], [0, 1, -1, -1]])
    products = (B @ tile @ B.T) * (G @ kernel @ G.T)  # (4, 4): the only 16 products
    return A @ products @ A.T


def winograd_conv2d(images: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """A 3 × 3 convolution without padding, stride 1, in tiles of 4 × 4.

    Args:
        images: (N, C, H, W), float32 or float64.
        weight: (O, C, 3, 3), of the images' dtype.

    Returns:
        (N, O, H - 2, W - 2), as ops.conv2d.

    Source: Lavin and Gray, Fast algorithms for convolutional neural networks (2016).

    Taught in notebook 06.
    """
    (N, C, H, W), O = images.shape, len(weight)
    down, across = (H - 1) // 2, (W - 1) // 2  # tiles, the last ones over the edge for odd outputs
    padded = np.zeros((C, N, 2 * down + 2, 2 * across + 2), images.dtype)
    padded[:, :, :H, :W] = images.swapaxes(0, 1)
    tiles = np.empty((4, 4, C, N, down, across), images.dtype)
    rows = [padded[:, :, i : i + 2 * down : 2] for i in range(4)]
    for i, row in enumerate(_differences(rows)):
        columns = [row[..., j : j + 2 * across : 2] for j in range(4)]
        for j, column in enumerate(_differences(columns)):
            tiles[i, j] = column
    G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], images.dtype)
    kernels = np.ascontiguousarray((G @ weight @ G.T).transpose(2, 3, 0, 1))  # (4, 4, O, C)
    products = (kernels @ tiles.reshape(4, 4, C, -1)).reshape(4, 4, O, N, down, across)
    out = np.empty((N, O, 2 * down, 2 * across), images.dtype)
    for i, row in enumerate(_sums(products)):
        for j, values in enumerate(_sums(row)):
            out[:, :, i::2, j::2] = values.swapaxes(0, 1)
    return out[:, :, : H - 2, : W - 2]


def _differences(x):
    return x[0] - x[2], x[1] + x[2], x[2] - x[1], x[1] - x[3]


def _sums(x):
    return x[0] + x[1] + x[2], x[1] - x[2] - x[3]


@dataclass(eq=False)
class Counted:
    """A number that counts when it is multiplied by another of its kind."""

    value: float
    count: list = field(repr=False)

    def _with(self, other, result):
        return Counted(result(self.value, getattr(other, "value", other)), self.count)

    def __add__(self, other):
        return self._with(other, lambda a, b: a + b)

    __radd__ = __add__

    def __sub__(self, other):
        return self._with(other, lambda a, b: a - b)

    def __rsub__(self, other):
        return self._with(other, lambda a, b: b - a)

    def __neg__(self):
        return Counted(-self.value, self.count)

    def __mul__(self, other):
        if isinstance(other, Counted):
            self.count[0] += 1
        return self._with(other, lambda a, b: a * b)

    __rmul__ = __mul__

    def __truediv__(self, other):
        if isinstance(other, Counted):
            self.count[0] += 1
        return self._with(other, lambda a, b: a / b)

    def __pow__(self, exponent):
        self.count[0] += 1
        return Counted(self.value**exponent, self.count)


def _plain(tile, kernel):
    windows = np.lib.stride_tricks.sliding_window_view(tile, (3, 3))
    return np.einsum("rcij,ij->rc", windows, kernel)


def _cases():
    rng = np.random.default_rng(610)
    first = np.zeros((3, 3))
    first[0, 0] = 1
    yield np.arange(16.0).reshape(4, 4), first
    yield np.arange(16.0).reshape(4, 4), np.ones((3, 3))
    for _ in range(6):
        yield rng.integers(-4, 9, (4, 4)) * 1.0, rng.integers(-3, 6, (3, 3)) * 1.0


def _examine_winograd(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    for number, (tile, kernel) in enumerate(_cases()):
        case = ("case", f"a tile and a kernel of 3 × 3: {' '.join(show(kernel).split())}")
        kept = tile.copy(), kernel.copy()
        got, error = attempt(answer, (tile, kernel))
        if error:
            return raised(error, case, attempted=number > 0)
        expected = _plain(*kept)
        if any_wrong(differs(got, expected, 1e-9)):
            return not_yet(
                f"{number} of 8 tiles are right. The first that differs:",
                case,
                ("tile", show(kept[0])),
                ("expected", show(expected)),
                ("got", show(got)),
                cause=structure(got, expected) or _cause(got, *kept)
                or "Work out F(2, 3) on one row first, and compare each of its four products.",
            )  # fmt: skip
        if not (np.array_equal(tile, kept[0]) and np.array_equal(kernel, kept[1])):
            return not_yet("The result is right, but your function changed its input.", case,
                           cause="Make new arrays for what you work out.")  # fmt: skip
    return _count_products(answer)


def _cause(got, tile, kernel) -> str:
    if not any_wrong(differs(got, _plain(tile, kernel[::-1, ::-1]), 1e-9)):
        return "The kernel was turned by 180°; here it is used as it stands."
    if not any_wrong(differs(got, _plain(tile, kernel.T), 1e-9)):
        return (
            "The kernel came out transposed. The transform stands on the left for the rows and, "
            "transposed, on the right for the columns: G @ kernel @ G.T."
        )
    if not any_wrong(differs(got, _plain(tile, kernel).T, 1e-9)):
        return "The output is transposed: A on the left for the rows, A.T on the right."
    return ""


def _count_products(answer) -> Verdict:
    tile, kernel = list(_cases())[2]
    count = [0]
    counting = [
        np.array([Counted(float(n), count) for n in array.ravel()], dtype=object).reshape(
            array.shape
        )
        for array in (tile, kernel)
    ]
    case = ("case", "the checker's numbers, which count how often they are multiplied together")
    _, error = attempt(answer, tuple(counting))
    if error:
        verdict = raised(error, case, attempted=True)
        return Verdict(
            outcome="error",
            headline=f"All values are right. While products were counted: {verdict.headline}",
            details=verdict.details,
            cause="The numbers that count can be added, subtracted and multiplied, alone or in "
            "arrays, with * and @. They cannot be turned into floats, or handed to torch.",
        )
    if count[0] <= 16:
        return correct(f"8 tiles, {count[0]} products each; the plain way takes 36.")
    if count[0] == 36:
        cause = "This is the plain way: 9 products for each of the 4 outputs."
    elif count[0] == 24:
        cause = (
            "24 = 3 rows of the kernel times 2 rows of the output times 4: the trick was used "
            "along the rows only. Use it for the columns as well: the 'numbers' of the second "
            "trick are the rows of the first."
        )
    elif count[0] == 0:
        cause = "No product was seen: did the numbers pass through float()?"
    else:
        cause = "Products with constants do not count, only those of a pixel with a weight."
    return not_yet(
        "All values are right, but there are too many products.",
        case,
        ("expected", "at most 16"),
        ("got", str(count[0])),
        cause=cause,
    )


EXERCISE = Exercise(
    id="06.10",
    title="Sixteen products instead of thirty-six",
    objective="make a 3 × 3 convolution with less than half the products, after Winograd",
    level=3,
    minutes=40,
    points=6,
    hints=(
        "First as three matrices for one row: B (4, 4) makes the four sums of pixels, G (4, 3) the "
        "four sums of weights, A (2, 4) the two outputs of the four products: A @ ((B @ row) * "
        "(G @ weights)).",
        "In two dimensions the same sums are taken along the rows and then along the columns: "
        "B @ tile @ B.T does both.",
        "A @ ((B @ tile @ B.T) * (G @ kernel @ G.T)) @ A.T, and the star in the middle makes "
        "4 × 4 products.",
    ),
    solution=winograd_tile,
    examine=_examine_winograd,
)
