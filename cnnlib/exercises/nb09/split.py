"""Exercise 09.1, A fair split."""

import numpy as np

from cnnlib import data
from cnnlib.exercises.compare import as_numpy, kind, show
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_attempted, not_yet, raised

split = data.split


def _cases():
    """(labels, num_validation), smallest first."""
    rng = np.random.default_rng(91)
    yield np.array([0, 1, 0, 1, 0, 1, 0, 1]), 4
    yield np.repeat([0, 1], [9, 3]), 4
    yield np.repeat([0, 1, 2], [6, 3, 3]), 4
    yield rng.permutation(np.repeat(np.arange(10), 40)), 100
    yield rng.permutation(np.repeat([0, 1, 2], [900, 90, 10])), 100
    yield rng.permutation(np.repeat([2, 5, 7], [11, 11, 11])), 10
    yield rng.permutation(np.repeat(np.arange(7), [3, 5, 8, 13, 21, 34, 55])), 50


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    num_cases = 0
    for number, (labels, num_validation) in enumerate(_cases()):
        case = (
            "case",
            f"labels {show(labels)}, num_validation={num_validation}, seed=0; images per class: "
            f"{show(np.unique(labels, return_counts=True)[1])}",
        )
        results = []
        for seed in (0, 0, 1, 2):
            given = labels.copy()
            state = np.random.get_state()[1].copy()  # noqa: NPY002 (what is looked at)
            got, error = attempt(answer, (given, num_validation, seed))
            if error is not None:
                if isinstance(error, NotImplementedError) and number == 0:
                    return not_attempted()
                return raised(error, case, attempted=number > 0)
            if not np.array_equal(given, labels):
                cause = "Shuffle a copy: rng.permutation returns one, rng.shuffle does not."
                return not_yet("Your function changed the labels.", case, cause=cause)
            if problem := _wrong_kind(got, labels, case):
                return problem
            results.append([np.asarray(part) for part in got])
            if not np.array_equal(state, np.random.get_state()[1]):  # noqa: NPY002
                return not_yet(
                    "Your function drew from NumPy's global random numbers.",
                    case,
                    cause="Whoever calls it gets other random numbers afterwards. Make a generator "
                    "of your own: rng = np.random.default_rng(seed).",
                )
        if problem := _wrong_content(results[0], labels, num_validation, case):
            return problem
        if problem := _wrong_chance(results, labels, num_validation, case):
            return problem
        num_cases += 1
    return correct(f"{num_cases} sets of labels, among them classes of 900, 90 and 10 images.")


def _wrong_kind(got, labels, case) -> Verdict | None:
    got = as_numpy(got)
    wanted = "Return two arrays of indices, train_index and validation_index."
    if not isinstance(got, tuple | list) or len(got) != 2:
        cause = "Your function returned None: does it end in a return?" if got is None else ""
        return not_yet(wanted, case, ("got", kind(got)), cause=cause or "Two arrays are wanted.")
    for part in map(np.asarray, got):
        if part.dtype == bool:
            cause = "These are masks of True and False. np.flatnonzero(mask) makes indices of one."
            return not_yet(wanted, case, ("got", kind(part)), cause=cause)
        if part.ndim != 1 or part.dtype.kind not in "iu":
            cause = f"Whole numbers along one axis are wanted; this has dtype {part.dtype}."
            return not_yet(wanted, case, ("got", kind(part)), cause=cause)
        if part.size and (part.min() < 0 or part.max() >= len(labels)):
            cause = f"Indices run from 0 to {len(labels) - 1} here."
            return not_yet(wanted, case, ("got", show(part)), cause=cause)
    return None


def _wrong_content(parts, labels, num_validation, case) -> Verdict | None:
    train, validation = parts
    both = np.concatenate(parts)
    shared = np.intersect1d(train, validation)
    sizes = ("got", f"{len(train)} for training and {len(validation)} for validation")
    if len(shared):
        return not_yet(
            f"{len(shared)} images are in both parts.",
            case,
            ("got", f"index {shared[0]}, for one"),
            cause="A network is then tested on what it was trained on: that is a leak. The "
            "training part is what the validation part leaves over.",
        )
    if len(np.unique(both)) < len(both):
        cause = "Something is drawn with replacement: rng.choice needs replace=False."
        return not_yet("An index occurs twice in one part.", case, sizes, cause=cause)
    if len(both) < len(labels):
        cause = "Every index that is not in the validation part belongs to the training part."
        return not_yet(f"{len(labels) - len(both)} images are lost.", case, sizes, cause=cause)
    if len(validation) != num_validation:
        if len(train) == num_validation:
            cause = "The two have changed places: training first, then validation."
        else:
            cause = "Each class was rounded on its own, and the errors add up. Round all down; "
            cause += "what is then missing goes to the classes that lost most."
        return not_yet("The validation part has the wrong size.", case, sizes, cause=cause)
    classes, counts = np.unique(labels, return_counts=True)
    shares = counts * num_validation / len(labels)
    found = np.array([(labels[validation] == label).sum() for label in classes])
    if np.any(found < np.floor(shares)) or np.any(found > np.ceil(shares)):
        cause = "Drawn from all images at once, a class gets its share only on average. Draw from "
        cause += "each class by itself."
        if np.ptp(found) <= 1 < np.ptp(counts):
            cause = "Every class got the same number; it should get its share: a class with a "
            cause += "tenth of the images gets a tenth of the validation part."
        return not_yet(
            "A class has not got its share of the validation part.",
            case,
            ("expected", f"{show(shares.round(2))}, each rounded up or down"),
            ("got", show(found)),
            cause=cause,
        )
    return None


def _wrong_chance(results, labels, num_validation, case) -> Verdict | None:
    first, again, *others = [np.sort(parts[1]) for parts in results]
    if not np.array_equal(first, again):
        cause = "All chance has to come from np.random.default_rng(seed), made in your function."
        return not_yet("The same seed gave two different splits.", case, cause=cause)
    if len(labels) >= 30 and all(np.array_equal(first, other) for other in others):
        cause = "The seed is not used: is it always the first images of a class that are taken? "
        cause += "Files often come in an order that means something."
        return not_yet("Another seed gave the same split.", case, cause=cause)
    places = first.mean() / (len(labels) - 1)  # near 0.5 if they come from everywhere
    if num_validation >= 100 and abs(places - 0.5) > 0.2:
        cause = "The validation images stand close together in the file: draw them at random."
        return not_yet("The split is not random.", case, cause=cause)
    return None


EXERCISE = Exercise(
    id="09.1",
    title="A fair split",
    objective="split a data set so that every class gets its share, the same for the same seed",
    level=1,
    minutes=15,
    points=2,
    hints=(
        "For one class: np.flatnonzero(labels == label) are its images, rng.permutation of them "
        "is a random order, and the first few of those go to the validation part.",
        "How many? A class with counts[k] of N images has a share of counts[k] * num_validation / "
        "N. Take the whole part first, for all classes.",
        "The whole parts add up to a little less than num_validation. Give one more to the classes "
        "with the largest remainders: np.divmod gives both at once, np.argsort finds the largest.",
    ),
    solution=data.split,
    examine=_examine,
)
