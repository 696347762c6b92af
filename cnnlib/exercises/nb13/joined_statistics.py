"""Exercise 13.7, The statistics of everybody."""

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception, Verdict


def joined_statistics(counts, means, variances):
    share = (counts / counts.sum())[:, None]
    mean = (share * means).sum(axis=0)
    within = (share * variances).sum(axis=0)
    between = (share * (means - mean) ** 2).sum(axis=0)
    biased, n = within + between, counts.sum()
    return mean, biased, biased * n / (n - 1)


def _values(counts, means, variances):
    """Made-up values of every worker that have just these statistics: half below, half above."""
    parts = []
    for count, mean, var in zip(counts, means, variances, strict=True):
        signs = np.where(np.arange(count) % 2 == 0, 1.0, -1.0)
        parts.append(mean + np.sqrt(var) * signs[:, None])
    return np.concatenate(parts)


def _oracle(counts, means, variances):
    values = _values(counts, means, variances)
    return values.mean(axis=0), values.var(axis=0), values.var(axis=0, ddof=1)


def _variant(mean="weighted", between=True, within=True, power=2, shares=True, n="values",
             kept="unbiased", swap=False, centre="joined"):  # fmt: skip
    """The three results with one thing wrong."""

    def wrong(counts, means, variances):
        weights = counts / counts.sum() if shares else np.full(len(counts), 1 / len(counts))
        weights = weights[:, None]
        joined = (weights * means).sum(axis=0)
        middle = joined if centre == "joined" else means.mean(axis=0)
        if mean == "plain":
            joined = means.mean(axis=0)
        spread = np.abs(means - middle) ** power
        var = within * (weights * variances).sum(axis=0) + between * (weights * spread).sum(axis=0)
        total = counts.sum() if n == "values" else len(counts)
        unbiased = var * total / max(1, total - 1)
        if kept == "biased":
            unbiased = var
        elif kept == "turned":
            unbiased = var * (total - 1) / total
        elif kept == "each":
            unbiased = (weights * variances * (counts / np.maximum(1, counts - 1))[:, None]).sum(
                axis=0
            )
            unbiased = unbiased + (weights * spread).sum(axis=0)
        return (joined, unbiased, var) if swap else (joined, var, unbiased)

    return wrong


MISCONCEPTIONS = (
    Misconception(
        _variant(shares=False, between=False),
        "Means of the workers' means and variances. A worker with more values counts for more, and "
        "how far the means lie from one another is a part of the variance too.",
    ),
    Misconception(
        _variant(between=False),
        "The mean of the variances is only the spread *within* the workers. How far their means "
        "lie from the joined mean is spread too: add Σ share · (mean − joined mean)².",
    ),
    Misconception(
        _variant(within=False),
        "Only the spread of the means among themselves was counted; the variances within are "
        "missing.",
    ),
    Misconception(
        _variant(shares=False),
        "Every worker was given the same weight. One with more values counts for more: its share "
        "is count / sum of counts.",
    ),
    Misconception(
        _variant(mean="plain"),
        "The joined mean is not the mean of the means: weigh each with its number of values.",
    ),
    Misconception(
        _variant(mean="plain", centre="plain"),
        "The joined mean is not the mean of the means: weigh each with its number of values.",
    ),
    Misconception(
        _variant(centre="plain"),
        "The spread between workers is taken around the plain mean of the means; it belongs around "
        "the joined one, in which counts weigh.",
    ),
    Misconception(
        _variant(power=1), "The distance of each mean from the joined mean has to be squared."
    ),
    Misconception(
        _variant(kept="biased"),
        "The third result should be the unbiased variance, which the running statistics keep: "
        "times n / (n − 1), where n counts all values.",
    ),
    Misconception(
        _variant(kept="turned"), "The factor is upside down: unbiased = biased · n / (n − 1)."
    ),
    Misconception(
        _variant(n="workers"),
        "n / (n − 1) was taken with n workers; n is the number of values that all have together.",
    ),
    Misconception(
        _variant(kept="each"),
        "Each worker's variance was made unbiased on its own. Join the biased ones, and correct "
        "once, with the n of all values.",
    ),
    Misconception(
        _variant(swap=True), "The two variances have changed places: biased first, then unbiased."
    ),
)


def _cases():
    rng = np.random.default_rng(13)

    def case(counts, num_channels, note, offset=0.0):
        shape = (len(counts), num_channels)
        means = rng.integers(-4, 9, size=shape).astype(float) + offset
        variances = rng.integers(1, 9, size=shape).astype(float)
        return Case((np.array(counts), means, variances), {}, note)

    hand = Case((np.array([2, 2]), np.array([[2.0], [6.0]]), np.array([[1.0], [1.0]])), {},
                "the values 1, 3 and 5, 7")  # fmt: skip
    yield hand
    yield case([4, 4], 2, "two workers, two channels")
    yield case([2, 6], 1, "one worker has more values")
    yield case([4, 2, 6], 3, "three workers")
    yield case([8, 2, 0, 4], 2, "a worker without any image")
    yield case([4, 6], 2, "a mean far from zero", offset=1e6)
    yield case([12], 2, "a single worker")


def _examine(answer) -> Verdict:
    return examine_function(
        answer, cases=_cases, oracle=_oracle, misconceptions=MISCONCEPTIONS, tolerance=1e-9
    )


EXERCISE = Exercise(
    id="13.7",
    title="The statistics of everybody",
    objective="join the means and variances of unequal workers into those of the whole batch",
    level=2,
    minutes=20,
    points=3,
    hints=(
        "Try it on 1, 3 and 5, 7: the workers' variances are 1 and 1, the variance of the four is "
        "5. Where do the missing 4 come from?",
        "With share = counts / counts.sum(), one for each worker: the variance of all is "
        "Σ share · variance (within) and Σ share · (mean − joined mean)² (between).",
        "counts is (workers,), means is (workers, C): shares[:, None] makes them fit. The unbiased "
        "variance is the biased one times n / (n − 1) with n = counts.sum().",
    ),
    solution=joined_statistics,
    examine=_examine,
)
