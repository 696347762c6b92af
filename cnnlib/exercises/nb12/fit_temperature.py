"""Exercise 12.6, One number for all."""

import numpy as np

from cnnlib.exercises.compare import kind, same, show
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_attempted, not_yet, raised


def fit_temperature(logits, labels):
    def loss(log_temperature):
        scaled = logits / np.exp(log_temperature)
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(scaled).sum(axis=1))
        return (log_sum - scaled[np.arange(len(labels)), labels]).mean()

    low, high = np.log(0.01), np.log(100)
    while high - low > 1e-3:  # one valley: drop the third beyond the higher of two points
        left, right = (2 * low + high) / 3, (low + 2 * high) / 3
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return np.exp((low + high) / 2)


WITHIN = 0.0105  # 1 %, and the rounding of the number that is compared with
GRID = np.exp(np.linspace(np.log(0.05), np.log(20), 1800))  # 0.33 % from one to the next


def _log_probs(logits, temperature):
    scaled = logits / temperature
    top = scaled.max(axis=1, keepdims=True)
    return scaled - top - np.log(np.exp(scaled - top).sum(axis=1, keepdims=True))


def _cross_entropy(logits, labels, temperature):
    return -_log_probs(logits, temperature)[np.arange(len(labels)), labels].mean()


def _best(logits, labels, objective=_cross_entropy) -> float:
    """The grid's best temperature, made finer around it."""
    logits = logits.astype(np.float64)
    losses = [objective(logits, labels, T) for T in GRID]
    k = int(np.argmin(losses))
    fine = np.linspace(GRID[max(k - 1, 0)], GRID[min(k + 1, len(GRID) - 1)], 41)
    return float(fine[np.argmin([objective(logits, labels, T) for T in fine])])


def _cases():
    """(what is special, logits, labels), smallest first."""
    rng = np.random.default_rng(126)

    def pairs(distance):
        return np.array([[distance, 0.0]] * 4), np.array([0, 0, 1, 0])

    def drawn(N, C, temperature, level=0.0):
        true = rng.normal(0, 2, (N, C))
        labels = (true + rng.gumbel(size=(N, C))).argmax(axis=1)  # a draw from softmax(true)
        return true * temperature + level, labels

    yield "four images, three of them right: softmax should say 3/4", *pairs(4.0)
    yield "the same, far too unsure", *pairs(0.2)
    yield "200 images, too sure", *drawn(200, 5, 2.5)
    yield "200 images, too unsure", *drawn(200, 5, 0.4)
    yield "a temperature far below 1", *drawn(150, 4, 0.08)
    yield "a temperature far above 1", *drawn(150, 4, 14.0)
    yield "logits around 20,000", *drawn(150, 4, 6.0, level=2e4)
    logits, labels = drawn(150, 6, 1.6)
    yield "float32", logits.astype(np.float32), labels


def _brier(logits, labels, temperature):
    return ((np.exp(_log_probs(logits, temperature)) - _one_hot(logits, labels)) ** 2).sum()


def _one_hot(logits, labels):
    return np.arange(logits.shape[1]) == labels[:, None]


def _probability(logits, labels, temperature):
    return -np.exp(_log_probs(logits, temperature))[np.arange(len(labels)), labels].mean()


def _wrong_classes(logits, labels, temperature):
    """The cross-entropy with the network's own answers for labels."""
    return _cross_entropy(logits, logits.argmax(axis=1), temperature)


def _twice(logits, labels, temperature):
    return _cross_entropy(np.exp(_log_probs(logits, 1.0)), labels, temperature)


def _after(logits, labels, temperature):
    return _cross_entropy(np.exp(_log_probs(logits, temperature)), labels, 1.0)


OBJECTIVES = (
    (
        _brier,
        "Your temperature makes the squared distance of the probabilities smallest; the mean "
        "cross-entropy was asked for, −log of the true class's probability.",
    ),
    (
        _probability,
        "The mean probability of the true class was made largest. Without its logarithm it pays "
        "to be sure, wrong or not.",
    ),
    (
        _wrong_classes,
        "The loss was taken with the network's own answers as labels: those are always certain "
        "in the end. The true labels count.",
    ),
    (_twice, "The softmax was divided by T, not the logits, or it was taken twice."),
    (_after, "The softmax was taken twice: cross_entropy takes logits and does it itself."),
)


def _calibration(logits, labels, temperature, num_bins=15) -> float:
    probabilities = np.exp(_log_probs(logits.astype(np.float64), temperature))
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.ceil(confidence * num_bins)
    return sum(abs((confidence - right)[bins == k].sum()) for k in set(bins)) / len(labels)


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    runs = []
    for number, (note, logits, labels) in enumerate(_cases()):
        at = ("case", f"{note}: logits {logits.shape} {logits.dtype}")
        given = logits.copy(), labels.copy()
        got, error = attempt(answer, given)
        if isinstance(error, NotImplementedError) and number == 0:
            return not_attempted()
        if error:
            return raised(error, at, attempted=number > 0)
        if not same(given, (logits, labels)):
            cause = "logits / T makes a new array; /= writes into the one that was given."
            return not_yet("Your function changed its input.", at, cause=cause)
        number_like = isinstance(got, int | float | np.number) and not isinstance(got, bool)
        if not number_like and not (isinstance(got, np.ndarray) and got.shape == ()):
            cause = "Your function returned None: does it end in a return?"
            cause = cause if got is None else f"One number is wanted, T; this is {kind(got)}."
            return not_yet("The result should be a number.", at, ("got", show(got)), cause=cause)
        if not np.issubdtype(np.asarray(got).dtype, np.number) or np.iscomplexobj(got):
            cause = f"A real number is wanted; this is {show(got)}."
            return not_yet("The result should be a number.", at, cause=cause)
        runs.append((at, logits, labels, float(got), _best(logits, labels)))
    wrong = [run for run in runs if not _near(run[3], run[4])]
    if not wrong:
        return correct(f"{len(runs)} sets of logits, all temperatures within 1 %.")
    at, logits, labels, got, best = wrong[0]
    losses = [("expected", f"T = {best:.4g}, cross-entropy {_shown_loss(logits, labels, best)}")]
    losses += [("got", f"T = {show(got)}, cross-entropy {_shown_loss(logits, labels, got)}")]
    return not_yet(
        f"{len(runs) - len(wrong)} of {len(runs)} temperatures are right. The first that is not:",
        at,
        *losses,
        cause=_cause(wrong, runs),
    )


def _near(got: float, wanted: float, within: float = WITHIN) -> bool:
    return abs(got - wanted) <= within * abs(wanted)


def _shown_loss(logits, labels, temperature) -> str:
    if not np.isfinite(temperature) or temperature <= 0:
        return "not defined"
    with np.errstate(all="ignore"):
        return f"{_cross_entropy(logits.astype(np.float64), labels, temperature):.4f}"


def _cause(wrong, runs) -> str:
    _, logits, labels, got, best = wrong[0]
    if not np.isfinite(got):
        return (
            "NaN or ∞ came out: exp overflows for large logits, and ∞ / ∞ is no number. Subtract "
            "each row's maximum first; the softmax stays the same."
        )
    if all(_near(g, 1 / b) for _, _, _, g, b in wrong):
        return "This is 1 / T: the logits are divided by the temperature, not multiplied."
    if all(_near(g, np.log(b), 0.02) for _, _, _, g, b in wrong):
        return "This is log T; take exp of it."
    if all(_near(g, _cross_entropy(x.astype(float), y, b), 0.02) for _, x, y, g, b in wrong):
        return "This is the lowest cross-entropy itself; the T at which it is reached is wanted."
    answers = [run[3] for run in runs]
    if np.ptp(answers) <= 1e-6 * max(answers):
        return (
            "The same T came back for all logits. Dividing by T never changes which class is "
            "first, so the accuracy is the same for every T: it is the loss that tells them apart. "
            "(And with the network's own answers for labels the smallest T always wins.)"
        )
    return _cause_of_search(wrong, runs)


def _lowest_at(temperature, logits, labels, objective) -> bool:
    """Whether an objective is as low there as anywhere; it may be flat."""
    if temperature <= 0:
        return False
    logits = logits.astype(np.float64)
    lowest = objective(logits, labels, _best(logits, labels, objective))
    return objective(logits, labels, temperature) - lowest <= 3e-5 * (1e-3 + abs(lowest))


def _overflows(run) -> bool:
    """Whether exp overflows for some T that may be tried, if no maximum is subtracted."""
    return float(run[1].max()) / GRID[0] > np.log(np.finfo(np.float64).max)


def _cause_of_search(wrong, runs) -> str:
    """A search that does not find the lowest place, or another loss."""
    _, logits, labels, got, best = wrong[0]
    low, high = min(run[3] for run in runs), max(run[3] for run in runs)
    outside = [
        (b < low * 1.01 and g == low) or (b > high * 0.99 and g == high) for *_, g, b in wrong
    ]
    if all(outside):
        return f"The range that is searched seems to end at {got:.4g}; T lies between 0.05 and 20."
    if all(_overflows(run) == any(run is w for w in wrong) for run in runs):
        return (
            "Only large logits go wrong: exp overflows, and the loss becomes NaN. Subtract each "
            "row's maximum first; the softmax stays the same."
        )
    for objective, says in OBJECTIVES:
        if all(_lowest_at(g, x, y, objective) for _, x, y, g, _ in wrong[:4]):
            return says
    if got <= 0:
        return "A temperature is above 0: a search over log T cannot leave that range."
    if len(labels) > 4 and _calibration(logits, labels, got) < _calibration(logits, labels, best):
        return (
            "At your T the calibration error is smaller than at the right one, but the "
            "cross-entropy is what was to be minimised: it has one valley, the other has many."
        )
    if _near(got, best, 0.35):
        return (
            "Near, but not within 1 %: the grid is too coarse there, or the search stopped early. "
            "A grid in log T has the same relative width everywhere."
        )
    if min(best, 1) <= got <= max(best, 1):
        return "Your T lies on the way from 1 to the best one: did the search stop too early?"
    return "Print the loss for ten temperatures from 0.05 to 20: where is it lowest?"


EXERCISE = Exercise(
    id="12.6",
    title="One number for all",
    objective="fit the temperature that makes a trained network's probabilities honest",
    level=2,
    minutes=20,
    points=3,
    hints=(
        "First write the loss for a given T: divide, subtract each row's maximum, log of the sum "
        "of exp, minus the true class's logit. Then look for the T where it is lowest.",
        "A grid will do: np.exp(np.linspace(np.log(0.04), np.log(25), 1000)) has steps of less "
        "than 1 %.",
        "Or search by thirds in log T: of two points inside, drop what lies beyond the higher one.",
    ),
    solution=fit_temperature,
    examine=_examine,
)
