"""Exercise 13.3, How many images a second, at the most?"""

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception, Verdict


def images_per_s(layers, batch_size, peak, bandwidth, training):
    seconds = 0.0
    for macs, activation_bytes, weight_bytes in layers:
        compute_s = 2 * macs * batch_size / peak
        memory_s = (activation_bytes * batch_size + weight_bytes) / bandwidth
        seconds += max(compute_s, memory_s)
    if training:
        seconds *= 3  # one pass forward, and backward about twice its work and its bytes
    return batch_size / seconds


def _oracle(layers, batch_size, peak, bandwidth, training):
    """By arrays, an image at a time: each layer reaches what its intensity lets it reach."""
    import numpy as np

    macs, activations, weights = np.array(layers, dtype=float).reshape(-1, 3).T
    work, moved = 2 * macs * batch_size, activations * batch_size + weights
    reached = np.minimum(peak, bandwidth * work / moved)  # FLOP/s under the roofline
    one_pass_s = np.where(work > 0, work / np.maximum(reached, 1e-300), moved / bandwidth).sum()
    return float(batch_size / (one_pass_s * (3 if training else 1)))


def _variant(flop=2, choose=max, per_layer=True, weights="once", passes=3, turned=False, batch=True,
             memory=True, compute=True):  # fmt: skip
    """The rate with one thing wrong."""

    def wrong(layers, batch_size, peak, bandwidth, training):
        pairs = []
        for macs, activation_bytes, weight_bytes in layers:
            count = batch_size if weights == "each" else 1 if weights == "once" else 0
            moved = activation_bytes * batch_size + weight_bytes * count
            pairs.append((flop * macs * batch_size / peak, moved / bandwidth))
        pairs = [(a * compute, b * memory) for a, b in pairs]
        whole = [tuple(map(sum, zip(*pairs, strict=True)))] if not per_layer else pairs
        seconds = sum(choose(pair) for pair in whole) * (passes if training else 1)
        return seconds if turned else (batch_size if batch else 1) / seconds

    return wrong


MISCONCEPTIONS = (
    Misconception(
        _variant(flop=1), "macs are multiply-accumulates: two operations each, peak counts both."
    ),
    Misconception(
        _variant(choose=min),
        "You took the smaller of the two times. Whichever takes longer is what one waits for.",
    ),
    Misconception(
        _variant(choose=sum),
        "You added computing and moving; they go on at the same time, so the longer one counts.",
    ),
    Misconception(
        _variant(per_layer=False),
        "You compared the sums over all layers. A layer must be done before the next one begins, "
        "so each has a bottleneck of its own: the maximum for each layer, then the sum.",
    ),
    Misconception(
        _variant(weights="each"), "The weights are read once a batch, not once an image."
    ),
    Misconception(_variant(weights="none"), "The bytes of the weights are missing."),
    Misconception(
        _variant(passes=2),
        "A training step is about three forward passes: one forward, and backward two products of "
        "the same size, one for the images' gradient and one for the weights'.",
    ),
    Misconception(
        _variant(passes=1), "training was ignored: the backward pass is about two more passes."
    ),
    Misconception(_variant(turned=True), "Those are the seconds of a batch; images / second."),
    Misconception(
        _variant(batch=False), "Those are batches a second; each batch has batch_size images."
    ),
    Misconception(
        _variant(memory=False), "Only computing was counted: some layers wait for the memory."
    ),
    Misconception(_variant(compute=False), "Only moving was counted: some layers wait to compute."),
)


def _cases():
    conv, relu, linear = (1_000_000, 40_000, 4_000), (0, 60_000, 0), (50_000, 800, 200_000)
    machine = {"peak": 1e11, "bandwidth": 1e10, "training": False}
    return [
        Case(([(1000, 8, 0)], 1), {**machine, "peak": 1e3}, "one layer that computes"),
        Case(([(1, 4000, 0)], 1), machine, "one layer that moves"),
        Case(([conv], 8), machine, "a convolution, 8 images"),
        Case(([conv, relu], 8), machine, "a layer without products beside it"),
        Case(([conv, relu, linear], 1), machine, "a linear layer, one image"),
        Case(([conv, relu, linear], 64), machine, "the same with 64"),
        Case(([conv, relu, linear], 64), {**machine, "training": True}, "training"),
        Case(([(3_000_000, 9000, 70_000)] * 3, 32), {**machine, "training": True}, "three alike"),
    ]


def _examine(answer) -> Verdict:
    return examine_function(
        answer, cases=_cases, oracle=_oracle, misconceptions=MISCONCEPTIONS, tolerance=1e-9
    )


EXERCISE = Exercise(
    id="13.3",
    title="How many images a second, at the most?",
    objective="predict from shapes and two measured numbers how fast a network can be",
    level=2,
    minutes=20,
    points=3,
    hints=(
        "One layer, one batch: how long does the computing take if nothing is in its way? How "
        "long the moving? Which of them does one wait for?",
        "compute_s = 2 * macs * batch_size / peak; memory_s = (activation_bytes * batch_size + "
        "weight_bytes) / bandwidth. The longer of both, added over the layers.",
        "For a training step three times the seconds. The result is batch_size / seconds.",
    ),
    solution=images_per_s,
    examine=_examine,
)
