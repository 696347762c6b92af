"""Exercise 01.2, From files to a batch."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def to_batch(pictures):
    images = []
    for picture in pictures:
        if picture.ndim == 2:
            picture = np.stack([picture] * 3, axis=-1)  # (H, W) -> (H, W, 3)
        images.append(picture.transpose(2, 0, 1))
    return np.stack(images).astype(np.float32) / 255


def _by_torch(pictures):
    import torch

    images = []
    for picture in pictures:
        tensor = torch.from_numpy(picture.astype(np.float64) / 255)
        channels = [tensor] * 3 if tensor.ndim == 2 else tensor.unbind(-1)
        images.append(torch.stack(list(channels)))
    return torch.stack(images).float().numpy()


def _cases():
    rng = np.random.default_rng(12)

    def picture(*shape):
        return rng.integers(0, 256, shape, dtype=np.uint8)

    yield Case(([picture(2, 3, 3)],), note="one colour picture of 2 × 3 pixels")
    yield Case(([picture(2, 2)],), note="one grey picture")
    yield Case(([picture(3, 3, 3), picture(3, 3, 3)],), note="square pictures, 3 × 3")
    yield Case(([picture(4, 5, 3), picture(4, 5), picture(4, 5, 3)],), note="colour and grey mixed")


def _each(change, scale=True, dtype=np.float32):
    def wrong(pictures):
        images = [p if p.ndim == 3 else np.stack([p] * 3, -1) for p in pictures]
        batch = np.stack([change(p) for p in images]).astype(dtype)
        return batch / dtype(255) if scale else batch

    return wrong


EXERCISE = Exercise(
    id="01.2",
    title="From files to a batch",
    objective="turn pictures as files hold them into a batch as networks want it",
    level=2,
    minutes=15,
    points=3,
    hints=(
        "Deal with one picture first: from (H, W, 3) to (3, H, W). Which of reshape and transpose "
        "moves axes, and which only recounts?",
        "A grey picture (H, W) becomes three equal channels: np.stack([picture] * 3).",
        "np.stack puts equal shapes on a new first axis. Convert with .astype(np.float32) and "
        "divide by 255 at the end.",
    ),
    solution=to_batch,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_by_torch,
        misconceptions=(
            Misconception(
                _each(lambda p: p.reshape(3, *p.shape[:2])),
                "reshape recounts the numbers without moving them, so colours end up as "
                "neighbouring pixels. Moving axes is transpose(2, 0, 1).",
            ),
            Misconception(
                _each(lambda p: p.transpose(2, 1, 0)),
                "Rows and columns changed places on the way: transpose(2, 0, 1), not .T.",
            ),
            Misconception(
                _each(lambda p: p), "The channels still stand last: N H W C. They belong second."
            ),
            Misconception(
                _each(lambda p: p.transpose(2, 0, 1), scale=False),
                "The values still run to 255; networks here take 0 to 1.",
            ),
            Misconception(
                _each(lambda p: p.transpose(2, 0, 1)[::-1]),
                "Red and blue have changed places: B G R instead of R G B.",
            ),
            Misconception(
                lambda pictures: (
                    np.stack([p.transpose(2, 0, 1) if p.ndim == 3 else p[None] for p in pictures])
                    / 255
                ),
                "A grey picture came out with one channel; it needs three equal ones.",
            ),
            Misconception(
                _each(lambda p: p.transpose(2, 0, 1) * (255 / p.max())),
                "Each picture was divided by its own largest value. Divide all by 255, so that a "
                "dark picture stays dark.",
            ),
        ),
    ),
)
