"""Exercise 03.2, How large is the output?"""

import numpy as np

from cnnlib.exercises.compare import show
from cnnlib.exercises.engine import attempt, describe, examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception, Verdict, not_yet, raised


def output_size(image_size, kernel_size, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    sizes = []
    for n, k, s, p, d in zip(image_size, kernel_size, stride, padding, dilation, strict=True):
        free = n + 2 * p - (d * (k - 1) + 1)
        if free < 0:
            raise ValueError(f"a kernel that spans {d * (k - 1) + 1} does not fit {n + 2 * p}")
        sizes.append(free // s + 1)
    return tuple(sizes)


def _torch_size(image_size, kernel_size, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    import torch

    image, weight = torch.zeros(1, 1, *image_size), torch.zeros(1, 1, *kernel_size)
    return tuple(torch.nn.functional.conv2d(image, weight, None, stride, padding, dilation).shape)[
        2:
    ]


def _cases():
    yield Case(((5, 5), (3, 3)))
    yield Case(((6, 9), (3, 2)), {}, "a kernel that is not square")
    yield Case(((3, 4), (3, 4)), {}, "one window only")
    yield Case(((5, 7), (3, 3)), {"padding": (1, 2)}, "padding")
    yield Case(((7, 9), (3, 3)), {"stride": (2, 3)}, "stride")
    yield Case(((8, 8), (3, 3)), {"stride": (2, 4)}, "a stride that leaves a remainder")
    yield Case(((9, 9), (3, 3)), {"dilation": (2, 3)}, "dilation")
    yield Case(((2, 2), (3, 3)), {"padding": (1, 1)}, "a kernel larger than the image")
    yield Case(((3, 3), (1, 1)), {"stride": (5, 7)}, "a stride larger than the image")
    rng = np.random.default_rng(32)
    drawn = 0
    while drawn < 40:
        image, kernel, stride, padding, dilation = (
            tuple(int(n) for n in rng.integers(*limits, 2))
            for limits in ((1, 40), (1, 6), (1, 5), (0, 4), (1, 4))
        )
        kwargs = {"stride": stride, "padding": padding, "dilation": dilation}
        if all(n >= 1 for n in _formula(np.floor_divide, image, kernel, **kwargs)):
            drawn += 1
            yield Case((image, kernel), kwargs, "everything together")


def _formula(divide, image_size, kernel_size, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    """The formula without a look at whether the kernel fits, with any kind of division."""
    rows = zip(image_size, kernel_size, stride, padding, dilation, strict=True)
    return tuple(divide(n + 2 * p - d * (k - 1) - 1, s) + 1 for n, k, s, p, d in rows)


def _by_axis(function):
    def wrong(image_size, kernel_size, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
        rows = zip(image_size, kernel_size, stride, padding, dilation, strict=True)
        return tuple(function(*row) for row in rows)

    return wrong


_ROUND_DOWN = (
    "The last window would hang over the edge. A remainder is left out: round down, with //."
)
MISCONCEPTIONS = (
    Misconception(_by_axis(lambda n, k, s, p, d: (n + 2 * p - d * (k - 1) - 1) / s + 1),
                  "The division left a fraction. Count places: what is left over after the last "
                  "whole step is not a place, so round down, with //."),
    Misconception(_by_axis(lambda n, k, s, p, d: -(-(n + 2 * p - d * (k - 1) - 1) // s) + 1),
                  _ROUND_DOWN),
    Misconception(_by_axis(lambda n, k, s, p, d: round((n + 2 * p - d * (k - 1) - 1) / s) + 1),
                  "Rounded to the nearest: half of the time this counts a window that hangs over "
                  "the edge. Round down, with //."),
    Misconception(_by_axis(lambda n, k, s, p, d: (n + p - d * (k - 1) - 1) // s + 1),
                  "The padding was counted once; it stands on both sides."),
    Misconception(_by_axis(lambda n, k, s, p, d: (n - d * (k - 1) - 1) // s + 1),
                  "The padding was not used."),
    Misconception(_by_axis(lambda n, k, s, p, d: (n + 2 * p - k) // s + 1),
                  "The dilation was not used: the kernel spans dilation × (k − 1) + 1 pixels."),
    Misconception(_by_axis(lambda n, k, s, p, d: (n + 2 * p - d * k) // s + 1),
                  "A dilated kernel spans dilation × (k − 1) + 1 pixels, not dilation × k: k taps "
                  "have k − 1 gaps between them."),
    Misconception(_by_axis(lambda n, k, s, p, d: (n + 2 * p - d * (k - 1) - 1) // s),
                  "One place is missing: the window's first place, before any step, counts too."),
    Misconception(_by_axis(lambda n, k, s, p, d: (n + 2 * p - d * (k - 1)) // s),
                  "One is added before the division; it belongs after it: the first place counts "
                  "once, however large the step."),
    Misconception(_by_axis(lambda n, k, s, p, d: n + 2 * p - d * (k - 1)),
                  "The stride was not used."),
)  # fmt: skip

_IMPOSSIBLE = (
    Case(((3, 3), (4, 3)), {}, "a kernel one row too high"),
    Case(((5, 2), (3, 3)), {"stride": (2, 2)}, "a kernel one column too wide, and stride 2"),
    Case(((4, 6), (3, 3)), {"dilation": (1, 3)}, "a kernel that spans 7 of 6 columns"),
    Case(
        ((1, 1), (5, 5)), {"padding": (1, 1), "stride": (3, 3)}, "a small image, padded too little"
    ),
)


def _examine(answer) -> Verdict:
    verdict = examine_function(
        answer, cases=_cases, oracle=_torch_size, misconceptions=MISCONCEPTIONS
    )
    if verdict.outcome != "correct":
        return verdict
    sizes, _ = attempt(answer, ((9, 9), (3, 3)), {"stride": (2, 2)})
    if any(isinstance(n, float | np.floating) for n in sizes):
        return not_yet(
            "Nearly: every number is right, but a size has to be an integer.",
            ("case", "image (9, 9), kernel (3, 3), stride (2, 2)"),
            ("expected", "(4, 4)"),
            ("got", show(tuple(sizes))),
            cause="/ makes a float even where the division is exact; // does not.",
        )
    for case in _IMPOSSIBLE:
        sizes, error = attempt(answer, case.args, case.kwargs)
        if isinstance(error, ValueError):
            continue
        at = ("case", describe(case))
        expected = ("expected", "a ValueError, since the kernel does not fit the padded image")
        if error:
            return raised(error, at, expected, attempted=True)
        return not_yet(
            "Every possible size is right. An impossible one went through:",
            at,
            expected,
            ("got", show(sizes)),
            cause="Compare the span, dilation × (k − 1) + 1, with the padded image on each axis, "
            "before you divide: a small negative number divided and rounded may look like a size.",
        )
    return verdict


EXERCISE = Exercise(
    id="03.2",
    title="How large is the output?",
    objective="find the output size of any convolution, or say that there is none",
    level=2,
    minutes=15,
    points=3,
    hints=(
        "Take one axis at a time. How long is the padded image? How many pixels does the dilated "
        "kernel span?",
        "The window can start at 0, s, 2s, … as long as start + span ≤ padded length. How many "
        "such starts are there, the 0 included?",
        "free = n + 2p − (d(k − 1) + 1) is how far the window can move. If it is negative, raise "
        "ValueError; else there are free // s + 1 places.",
    ),
    solution=output_size,
    examine=_examine,
)
