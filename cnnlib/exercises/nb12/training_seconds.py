"""Exercise 12.1, How long will it take?"""

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception, Verdict


def training_seconds(macs, num_images, epochs, gflops):
    forward = 2 * macs  # FLOP
    backward = 2 * forward
    return (forward + backward) * num_images * epochs / (gflops * 1e9)


def _oracle(macs, num_images, epochs, gflops):
    """Counted pass by pass, in thousand millions of FLOP."""
    passes = ("forward", "gradient of the weights", "gradient of what came in")
    return sum(epochs * num_images * (macs + macs) / 1e9 / gflops for _ in passes)


def _cases():
    yield Case((1_000_000, 1_000, 1, 6.0), note="a million multiply-adds, a thousand images")
    yield Case((1_000_000, 1_000, 5, 6.0), note="five epochs")
    yield Case((2_500_000, 60_000, 1, 45.0), note="60,000 images")
    yield Case((9_400_000, 60_000, 12, 130.5), note="a rate that is no whole number")
    yield Case((4_100_000_000, 1_281_167, 90, 60_000), note="ResNet-50 on ImageNet")
    yield Case((416_520, 1, 1, 250), note="a single image")


def _times(factor):
    return lambda macs, n, epochs, gflops: factor * _oracle(macs, n, epochs, gflops)


MISCONCEPTIONS = (
    Misconception(
        _times(1 / 2),
        "A factor of 2 is missing: a multiply-add is two FLOP, a product and a sum.",
    ),
    Misconception(
        _times(1 / 3),
        "Only the forward pass is counted. The backward pass costs twice as much again: one "
        "gradient of the weights, one of what came in.",
    ),
    Misconception(
        _times(2 / 3),
        "This is 4 FLOP a multiply-add; it is 6, two forward and four backward. Either backward "
        "was taken to cost no more than forward, or the forward pass was left out.",
    ),
    Misconception(
        _times(1 / 6),
        "A factor of 6 is missing: 2 FLOP a multiply-add, and three passes' worth of them.",
    ),
    Misconception(
        lambda macs, n, epochs, gflops: _oracle(macs, n, 1, gflops),
        "The epochs are forgotten: every image comes once in each.",
    ),
    Misconception(
        lambda macs, n, epochs, gflops: _oracle(macs, 1, epochs, gflops),
        "This is the time for one image; multiply by their number.",
    ),
    Misconception(
        _times(1e9),
        "gflops is in billions: divide by gflops · 1e9.",
    ),
    Misconception(
        _times(1e3), "A giga is 1e9, a billion; 1e6 was used."
    ),
    Misconception(
        lambda *args: 1 / _oracle(*args),
        "Upside down: the work divided by the rate is a time.",
    ),
    Misconception(_times(1 / 60), "These are minutes; seconds are wanted."),
    Misconception(_times(1 / 3600), "These are hours; seconds are wanted."),
    Misconception(
        lambda *args: _oracle(*args) // 1,
        "// cuts off the fraction of a second: divide with /.",
    ),
)  # fmt: skip


def _examine(answer) -> Verdict:
    return examine_function(
        answer, cases=_cases, oracle=_oracle, misconceptions=MISCONCEPTIONS, keep_dtype=False
    )


EXERCISE = Exercise(
    id="12.1",
    title="How long will it take?",
    objective="estimate the seconds of a training run from multiply-adds and a measured rate",
    level=1,
    minutes=8,
    points=2,
    hints=(
        "How many FLOP does one image cost, forward? And backward? How often does each image come?",
        "2 FLOP a multiply-add, three times the forward pass in all, num_images · epochs times; "
        "then divide by the rate, gflops · 1e9 FLOP a second.",
    ),
    solution=training_seconds,
    examine=_examine,
)
