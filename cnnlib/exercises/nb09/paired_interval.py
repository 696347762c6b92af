"""Exercise 09.8, Better, or luckier?"""

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception

# The half-width of a 95 % interval in standard errors, by degrees of freedom (number − 1).
T_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


def paired_interval(first_accs, second_accs, t):
    differences = np.subtract(second_accs, first_accs)
    mean = differences.mean()
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    return mean - t * error, mean + t * error


def _oracle(first_accs, second_accs, t):
    pairs = list(zip(first_accs, second_accs, strict=True))
    differences = [float(second) - float(first) for first, second in pairs]
    n = len(differences)
    mean = sum(differences) / n
    variance = sum((d - mean) ** 2 for d in differences) / (n - 1)
    half = float(t) * (variance / n) ** 0.5
    return mean - half, mean + half


def _cases():
    rng = np.random.default_rng(98)
    yield Case(([0.5, 0.5, 0.5], [0.6, 0.7, 0.8], 4.303), note="three seeds")
    yield Case(([0.80, 0.84, 0.88], [0.81, 0.85, 0.90], 4.303), note="seeds that differ")
    yield Case(([0.7, 0.9], [0.9, 0.7], 12.706), note="no difference on average")
    base = rng.normal(0.85, 0.01, size=5)
    yield Case((base, base + rng.normal(0.004, 0.001, size=5), 2.776), note="five seeds")
    yield Case((rng.uniform(size=10), rng.uniform(size=10), 2.262), note="ten seeds")
    yield Case(([0.9, 0.8, 0.7, 0.6], [0.8, 0.7, 0.6, 0.5], 3.182), note="always worse by 0.1")


def _half(first, second, t, how):
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    differences, n = second - first, len(first)
    mean, std = differences.mean(), differences.std(ddof=1)
    halves = {
        "unpaired": t * np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / n),
        "ddof": t * differences.std() / np.sqrt(n),
        "std": t * std,
        "divided by n": t * std / n,
        "1.96": 1.96 * std / np.sqrt(n),
        "half": t / 2 * std / np.sqrt(n),
        "variance": t * differences.var(ddof=1) / np.sqrt(n),
        "no t": std / np.sqrt(n),
        "n - 1": t * std / np.sqrt(n - 1),
    }
    if how == "sorted":
        return _oracle(np.sort(first), np.sort(second), t)
    if how == "reversed":
        return _oracle(second, first, t)
    if how == "mean and half":
        return mean, t * std / np.sqrt(n)
    if how == "swapped":
        low, high = _oracle(first, second, t)
        return high, low
    return mean - halves[how], mean + halves[how]


_SAYS = {
    "unpaired": "The two spreads were added, as for two independent groups. The runs are pairs "
    "with the same seed: take the differences first, then the spread of those.",
    "ddof": "The spread is divided by n. Of a few values whose mean is estimated too it is "
    "n − 1: std(ddof=1).",
    "std": "This is the range in which single differences lie. A mean of n of them is √n times as "
    "sure: divide by √n.",
    "divided by n": "The spread is divided by n; a mean's is by √n.",
    "1.96": "1.96 is for many values. With a few, whose spread is a guess as well, it is t, which "
    "is given.",
    "half": "Half of t on each side; t is the half-width already.",
    "variance": "The variance stands where its root belongs.",
    "no t": "This is one standard error on each side; t of them are wanted.",
    "n - 1": "Divided by √(n − 1): the n − 1 belongs into the spread, the mean's error has √n.",
    "sorted": "The values were sorted first. A pair has the same seed, so the order must stay.",
    "reversed": "The sign: second minus first was asked for.",
    "mean and half": "This is the mean and the half-width; the two ends were asked for.",
    "swapped": "The lower end comes first.",
}
MISCONCEPTIONS = tuple(
    Misconception(lambda first, second, t, how=how: _half(first, second, t, how), says)
    for how, says in _SAYS.items()
)


def _examine(answer):
    return examine_function(
        answer, cases=_cases, oracle=_oracle, misconceptions=MISCONCEPTIONS, keep_dtype=False
    )


EXERCISE = Exercise(
    id="09.8",
    title="Better, or luckier?",
    objective="say from a few paired runs how large a difference is, and how sure that is",
    level=2,
    minutes=15,
    points=3,
    hints=(
        "Pairs with the same seed share their luck. What happens to it in the difference?",
        "n differences have a mean, and a spread with n − 1. The mean's error is √n times smaller.",
        "mean ± t · std(ddof=1) / √n",
    ),
    solution=paired_interval,
    examine=_examine,
)
