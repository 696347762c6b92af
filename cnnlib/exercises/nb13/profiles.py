"""Exercise 13.1, Five profiles: what bounds each of them? The tables were measured, one thread."""

from dataclasses import dataclass

from cnnlib.exercises.findings import examine_diagnosis
from cnnlib.exercises.verdicts import Exercise, Verdict

CAUSES = {
    "loading": "the step waits for its images",
    "arithmetic": "the products themselves; they run near the peak, so only less work helps",
    "memory": "large maps are read and written for a few operations a value",
    "overhead": "so little work in each call that the calling takes the time",
    "weights": "so few images in a batch that weights are moved for hardly any work",
}


@dataclass(frozen=True)
class Profile:
    """One training step, the operators that took longest, and how many calls there were in all."""

    num_images: int
    step_ms: float
    gflops: float  # billions of operations a second, over the whole step
    num_calls: int
    rows: tuple[tuple[str, float, int, int], ...]  # operator, share in %, calls, µs a call

    def __repr__(self) -> str:
        head = (
            f"batch of {self.num_images}, {self.step_ms:g} ms, {self.num_calls} calls, "
            f"{self.gflops:g} GFLOP/s"
        )
        lines = [f"{'operator':36} share  calls  µs a call"]
        for name, share, calls, micros in self.rows:
            lines.append(f"{name:36} {share:3.0f} %  {calls:5}  {micros:9,}")
        return "\n".join([head, *lines])


PROFILES = {
    "A": Profile(
        1, 1.2, 1.8, 506,
        (("Optimizer.step#SGD.step", 15, 1, 116),
         ("aten::_slow_conv2d_backward", 10, 4, 20),
         ("aten::_slow_conv2d_forward", 9, 4, 17),
         ("aten::native_batch_norm", 5, 4, 9),
         ("aten::add_", 4, 32, 1),
         ("aten::mul_", 3, 14, 2)),
    ),
    "B": Profile(
        128, 163, 85.7, 294,
        (("aten::convolution_backward", 64, 4, 25_720),
         ("aten::mkldnn_convolution", 29, 4, 11_759),
         ("aten::threshold_backward", 3, 3, 1804),
         ("aten::clamp_min", 1, 3, 303),
         ("aten::mm", 1, 2, 450)),
    ),
    "C": Profile(
        64, 10.3, 1.9, 2037,
        (("enumerate(DataLoader)#…__next__", 55, 1, 5273),
         ("aten::convolution_backward", 9, 2, 409),
         ("aten::mkldnn_convolution", 6, 2, 281),
         ("Optimizer.step#SGD.step", 2, 1, 213),
         ("aten::sub", 2, 64, 3),
         ("aten::copy_", 2, 140, 1)),
    ),
    "D": Profile(
        8, 25.6, 17.9, 218,
        (("aten::mm", 45, 4, 2775),
         ("aten::add_", 23, 12, 469),
         ("aten::addmm", 17, 2, 2153),
         ("aten::mul_", 8, 6, 310),
         ("Optimizer.step#SGD.step", 2, 1, 409),
         ("aten::convolution_backward", 1, 1, 228)),
    ),
    "E": Profile(
        256, 130, 2.0, 290,
        (("aten::bernoulli_", 29, 1, 37_441),
         ("aten::native_batch_norm_backward", 13, 2, 8253),
         ("aten::copy_", 11, 15, 944),
         ("aten::avg_pool2d_backward", 9, 2, 5750),
         ("aten::avg_pool2d", 9, 2, 5459),
         ("aten::native_batch_norm", 7, 2, 4411)),
    ),
}  # fmt: skip

_RIGHT = {"A": "overhead", "B": "arithmetic", "C": "loading", "D": "weights", "E": "memory"}
_CLUES = {
    "overhead": "no operator takes a fifth of it. How long does one call take, and how many images "
    "are there",
    "arithmetic": "compare its GFLOP/s with those of the other four, and with the machine's peak",
    "loading": "the first row is no operator on tensors at all",
    "weights": "matrix products, and yet so few GFLOP/s. Divide the images by the time: what is "
    "large here, if it is not the batch",
    "memory": "long calls, and hardly a product among them. How many operations does a batch norm "
    "do for every number that it reads",
}


def _examine(answer) -> Verdict:
    return examine_diagnosis(
        answer,
        _RIGHT,
        CAUSES,
        _CLUES,
        praise="Each would need another cure: larger batches; less work; batches in memory; more "
        "images for each weight; smaller maps, or operators that are fused.",
    )


EXERCISE = Exercise(
    id="13.1",
    title="What are they waiting for?",
    objective="read from a profile what bounds a training step",
    level=1,
    minutes=15,
    points=2,
    hints=(
        "Three questions for each: is the first row a computation at all? How long does one call "
        "take (microseconds, or many milliseconds)? How near to the peak are the GFLOP/s?",
        "Of the two that have long calls and few GFLOP/s, one multiplies matrices and has 8 "
        "images; the other passes over maps of 256 images.",
    ),
    solution="bounds = {\n" + "".join(f'    "{k}": "{v}",\n' for k, v in _RIGHT.items()) + "}",
    examine=_examine,
)
