"""Exercise 07.1, Every image once."""

from collections.abc import Iterable

import numpy as np

from cnnlib.exercises.compare import as_numpy, kind, show
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_yet, raised


def minibatches(num_images, batch_size, rng):
    order = rng.permutation(num_images)
    for start in range(0, num_images, batch_size):
        yield order[start : start + batch_size]


_CASES = (
    (6, 2, "three whole batches"),
    (7, 3, "a short last batch"),
    (5, 8, "a batch larger than the data"),
    (10, 10, "one batch of everything"),
    (9, 1, "batches of one"),
    (1000, 64, "a thousand images"),
)


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    for place, (num_images, batch_size, note) in enumerate(_CASES):
        case = ("case", f"{note}: num_images={num_images}, batch_size={batch_size}")
        batches, error = _run(answer, num_images, batch_size, np.random.default_rng(place))
        if error is not None:
            return raised(error, case, attempted=place > 0)
        verdict = _unreadable(batches, case) or _wrong_cover(batches, num_images, batch_size, case)
        if verdict:
            return verdict
    verdict = _wrong_chance(answer)
    return verdict or correct(
        f"{len(_CASES)} sizes, each image once in each, among them a short last batch; another "
        "order in each epoch, the same order for the same seed."
    )


def _run(answer, num_images, batch_size, rng) -> tuple:
    """The batches as a list, and an exception; a generator is run to its end, within reason."""

    def whole():
        got = answer(num_images, batch_size, rng)
        if not isinstance(got, Iterable) or isinstance(got, str | dict):
            return got
        batches = []
        for batch in got:
            batches.append(batch)
            if len(batches) > num_images + 5:
                break
        return batches

    return attempt(whole)


def _unreadable(batches, case) -> Verdict | None:
    if batches is None:
        cause = "Your function returned None: yield each batch, or return a list of them."
        return not_yet("Batches of indices are wanted.", case, cause=cause)
    if not isinstance(batches, list):
        cause = f"yield each batch, or return a list of them; this is {kind(batches)}."
        return not_yet("Batches of indices are wanted.", case, cause=cause)
    for number, batch in enumerate(batches):
        array = np.asarray(as_numpy(batch)) if isinstance(batch, np.ndarray | list) else None
        if array is None or array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            return not_yet(
                "Each batch is an array of indices, whole numbers with one axis.",
                case,
                ("got", f"batch {number} is {kind(batch)}"),
                cause=_cause_of_kind(batch),
            )
    return None


def _cause_of_kind(batch) -> str:
    if isinstance(batch, int | np.integer):
        return (
            "Single indices came one by one. A batch is a slice of them: "
            "order[start : start + batch_size]."
        )
    if isinstance(batch, np.ndarray) and batch.dtype.kind == "f":
        return "Indices have to be whole numbers: rng.permutation(num_images) gives such."
    return "Shuffle np.arange(num_images) and cut it into slices of batch_size."


def _wrong_cover(batches, num_images, batch_size, case) -> Verdict | None:
    """What is wrong with the sizes, or with which images occur; None when all is well."""
    sizes = [len(batch) for batch in batches]
    indices = np.concatenate([np.asarray(b, dtype=np.int64) for b in batches] or [np.empty(0)])
    indices = indices.astype(np.int64)
    counts = np.bincount(indices[(indices >= 0) & (indices < num_images)], minlength=num_images)
    shown = ("got", f"batches of {show(sizes[:6])[1:-1]}{', …' if len(sizes) > 6 else ''}")
    whole, left = divmod(num_images, batch_size)
    if len(indices) and not (indices.min() >= 0 and indices.max() < num_images):
        outside = indices[(indices < 0) | (indices >= num_images)][0]
        return not_yet(
            f"Index {outside} is no image: they count from 0 to {num_images - 1}.",
            case, shown,
            cause="Images are counted from 0; a permutation of num_images numbers has them all.",
        )  # fmt: skip
    if counts.max(initial=0) > 1:
        twice = int(counts.argmax())
        return not_yet(
            f"Image {twice} occurs {counts.max()} times in one epoch.", case, shown,
            ("expected", "every image exactly once"),
            cause=_cause_of_repeat(sizes, counts),
        )  # fmt: skip
    if counts.min() == 0:
        missing = int(np.count_nonzero(counts == 0))
        cause = "Each epoch has to cover all: where does the loop over the starts end?"
        if missing == left:
            cause = (
                "The images left over from the last whole batch are missing. Go on while there "
                "are any: range(0, num_images, batch_size) starts a short batch too."
            )
        return not_yet(
            f"{missing} of {num_images} images never occur.", case, shown,
            ("expected", "every image exactly once"), cause=cause,
        )  # fmt: skip
    expected = [batch_size] * whole + ([left] if left else [])
    if sizes != expected:
        cause = "All batches have batch_size images but the last, which has what is left."
        if 0 in sizes:
            cause = "There is an empty batch: its mean loss would be 0 divided by 0."
        elif sorted(sizes) == sorted(expected):
            cause = "The short batch should be the last one."
        elif max(sizes) - min(sizes) <= 1:
            cause = (
                "The images were dealt out evenly (np.array_split does that). Whole batches of "
                "batch_size are wanted, and one short one at the end."
            )
        return not_yet(
            "Every image occurs once, but the sizes of the batches are others.", case, shown,
            ("expected", f"batches of {show(expected[:6])[1:-1]}"), cause=cause,
        )  # fmt: skip
    return None


def _cause_of_repeat(sizes, counts) -> str:
    if np.count_nonzero(counts == 0):
        return (
            "The images were drawn with replacement, or shuffled anew for each batch: some come "
            "twice, some never. Shuffle once, then cut."
        )
    return "The slices overlap, or the last batch was filled up with images that were there before."


def _wrong_chance(answer) -> Verdict | None:
    """What is wrong with the shuffling; the batches themselves are known to be right."""
    case = ("case", "num_images=1000, batch_size=64")

    def order(rng):
        batches, error = _run(answer, 1000, 64, rng)
        return np.concatenate([np.asarray(b) for b in batches]) if error is None else error

    rng = np.random.default_rng(7)
    first, second = order(rng), order(rng)
    again, other = order(np.random.default_rng(7)), order(np.random.default_rng(8))
    for got in (first, second, again, other):
        if isinstance(got, BaseException):
            return raised(got, case, attempted=True)
    in_order, backwards = np.arange(1000), np.arange(1000)[::-1]
    if np.array_equal(first, in_order) or np.array_equal(first, backwards):
        cause = "Shuffle the indices before you cut them into batches: rng.permutation."
        return not_yet("The images come in their own order.", case, cause=cause)
    if not np.array_equal(first, again):
        return not_yet(
            "Two generators with the same seed gave two orders.", case,
            cause="The order has to come from the rng that you are given, and from nothing else: "
            "np.random.… has a seed of its own.",
        )  # fmt: skip
    if np.array_equal(first, second) or np.array_equal(first, other):
        return not_yet(
            "Every epoch has the same order.", case,
            cause="A generator was made, or seeded, inside your function. Use the rng that you "
            "are given: it goes on from where it was.",
        )  # fmt: skip
    blocks = [np.sort(first[i : i + 64]) for i in range(0, 1000, 64)]
    if all(np.array_equal(b, np.arange(b[0], b[0] + len(b))) for b in blocks):
        cause = "Only inside each batch, or only the batches, were shuffled: the same images "
        cause += "always meet. Shuffle all indices, then cut."
        return not_yet("Each batch holds neighbours of the data set.", case, cause=cause)
    return None


EXERCISE = Exercise(
    id="07.1",
    title="Every image once",
    objective="cut a shuffled data set into batches that cover every image exactly once",
    level=1,
    minutes=10,
    points=2,
    hints=(
        "Shuffle all the indices at once; what is left is cutting.",
        "rng.permutation(num_images) is a shuffled array of 0 to num_images − 1. A slice that "
        "reaches over the end of an array is simply shorter.",
        "for start in range(0, num_images, batch_size): yield order[start : start + batch_size]",
    ),
    solution=minibatches,
    examine=_examine,
)
