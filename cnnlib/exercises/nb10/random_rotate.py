"""Exercise 10.5, Turn a whole batch."""

from functools import partial

import numpy as np

from cnnlib.exercises.engine import examine_function, unfit
from cnnlib.exercises.nb10.tensors import with_tensors
from cnnlib.exercises.verdicts import Case, Exercise, Misconception, Verdict


def random_rotate(images, max_degrees, generator):
    import torch
    import torch.nn.functional as F

    N, C, H, W = images.shape
    draws = torch.rand(N, generator=generator).to(images)
    radians = torch.deg2rad((2 * draws - 1) * max_degrees)
    cos, sin, zero = radians.cos(), radians.sin(), torch.zeros_like(radians)
    # Each output pixel asks where it comes from; coordinates go from -1 to 1 along either axis, so
    # a step is H / 2 pixels down and W / 2 to the right.
    across = torch.stack([cos, -sin * H / W, zero], dim=1)
    down = torch.stack([sin * W / H, cos, zero], dim=1)
    grid = F.affine_grid(torch.stack([across, down], dim=1), images.shape, align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def _draws(N, seed):
    import torch

    return torch.rand(N, generator=torch.Generator().manual_seed(seed)).double().numpy()


def _rotated(images, degrees):
    """Image by image, by torchvision."""
    import torch
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional

    images = torch.as_tensor(images)
    turned = [
        functional.rotate(image, float(angle), interpolation=InterpolationMode.BILINEAR)
        for image, angle in zip(images, degrees, strict=True)
    ]
    return torch.stack(turned).numpy()


def _oracle(images, max_degrees, seed):
    return _rotated(images, (2 * _draws(len(images), seed) - 1) * max_degrees)


def _cases():
    rng = np.random.default_rng(105)

    def images(*shape):
        return rng.integers(0, 10, shape).astype(np.float32)

    yield Case((images(1, 1, 3, 3), 0.0), {"seed": 0}, "no turn at all")
    yield Case((images(1, 1, 5, 5), 90.0), {"seed": 1}, "one square image")
    yield Case((images(3, 1, 6, 6), 45.0), {"seed": 2}, "three images")
    yield Case((images(1, 1, 5, 9), 60.0), {"seed": 3}, "an image that is not square")
    yield Case((images(2, 3, 9, 6), 30.0), {"seed": 4}, "three channels")
    yield Case((images(4, 2, 12, 11), 180.0), {"seed": 5}, "any angle")


def _by_hand(images, max_degrees, seed, **twist):
    """Bilinear sampling in pixels, in NumPy; each twist is one thing that may go wrong."""
    N, C, H, W = images.shape
    draws = _draws(N, seed)
    draws = draws[:1].repeat(N) if twist.get("same") else draws
    degrees = twist.get("degrees", lambda u, m: (2 * u - 1) * m)(draws, max_degrees)
    radians = degrees if twist.get("radians") else np.deg2rad(degrees)
    ys, xs = np.mgrid[:H, :W]
    middle_y, middle_x = twist.get("middle", lambda H, W: ((H - 1) / 2, (W - 1) / 2))(H, W)
    output = np.zeros(images.shape)
    for n in range(N):
        c, s = np.cos(radians[n]), np.sin(radians[n])
        y, x = ys - middle_y, xs - middle_x
        ratio = 1 if not twist.get("stretched") else H / W  # coordinates -1 to 1 on both axes
        from_x, from_y = c * x - s * y / ratio, s * x * ratio + c * y
        from_y, from_x = from_y + middle_y, from_x + middle_x
        if twist.get("nearest"):
            from_y, from_x = np.rint(from_y), np.rint(from_x)
        if twist.get("border"):
            from_y, from_x = from_y.clip(0, H - 1), from_x.clip(0, W - 1)
        top, left = np.floor(from_y).astype(int), np.floor(from_x).astype(int)
        for i, j in np.ndindex(2, 2):
            row, column = top + i, left + j
            share = (1 - abs(from_y - row)) * (1 - abs(from_x - column))
            inside = (row >= 0) & (row < H) & (column >= 0) & (column < W)
            found = images[n][:, row.clip(0, H - 1), column.clip(0, W - 1)]
            output[n] += np.where(inside, share * found, 0)
    return output.astype(images.dtype)


def _twisted(**twist):
    return partial(_by_hand, **twist)


def _aligned(images, max_degrees, seed, grid=True, sample=True):
    """With align_corners=True in one of the two calls, or both."""
    import torch
    import torch.nn.functional as F

    images = torch.as_tensor(images)
    N, C, H, W = images.shape
    angles = torch.deg2rad(torch.from_numpy((2 * _draws(N, seed) - 1) * max_degrees)).float()
    cos, sin, zero = angles.cos(), angles.sin(), torch.zeros(N)
    theta = torch.stack(
        [
            torch.stack([cos, -sin * H / W, zero], 1),
            torch.stack([sin * W / H, cos, zero], 1),
        ],
        1,
    )
    places = F.affine_grid(theta, images.shape, align_corners=grid)
    return F.grid_sample(images, places, align_corners=sample).numpy()


MISCONCEPTIONS = (
    Misconception(
        _twisted(degrees=lambda u, m: -(2 * u - 1) * m),
        "Turned the other way round. affine_grid asks where each output pixel comes *from*, and y "
        "points down: a turn against the clock has −sin in the first row and +sin in the second.",
    ),
    Misconception(
        _twisted(stretched=True),
        "Right for square images only: a picture that is not square was sheared. Coordinates go "
        "from −1 to 1 along both axes, so sin needs a factor H / W in the first row and W / H in "
        "the second.",
    ),
    Misconception(
        _twisted(degrees=lambda u, m: -(2 * u - 1) * m, stretched=True),
        "Turned the other way round, and a picture that is not square would be sheared: sin needs "
        "a factor H / W in the first row and W / H in the second.",
    ),
    Misconception(
        _twisted(radians=True), "Degrees were taken for radians: torch.deg2rad turns them."
    ),
    Misconception(
        _twisted(same=True),
        "All images were turned by the same angle: draw N numbers, one for each image.",
    ),
    Misconception(
        _twisted(degrees=lambda u, m: u * m),
        "Angles from 0 to max_degrees; they should lie between −max_degrees and max_degrees: "
        "(2 · draw − 1) · max_degrees.",
    ),
    Misconception(
        _twisted(degrees=lambda u, m: (u - 0.5) * m),
        "Half the range: (2 · draw − 1) · max_degrees goes from −max_degrees to max_degrees.",
    ),
    Misconception(
        _twisted(nearest=True), "The nearest pixel was taken; mix four of them: mode='bilinear'."
    ),
    Misconception(
        _twisted(border=True),
        "The rim was repeated outside of the image; zeros come in: padding_mode='zeros'.",
    ),
    Misconception(
        _twisted(middle=lambda H, W: (H / 2, W / 2)),
        "Turned around a point half a pixel off: the middle of H pixels is (H − 1) / 2.",
    ),
    Misconception(
        _twisted(middle=lambda H, W: (0, 0)), "Turned around the top left corner, not the middle."
    ),
    Misconception(
        partial(_aligned, grid=True, sample=False),
        "align_corners is True in affine_grid and False in grid_sample: the picture is stretched "
        "a little. Say the same in both, here False.",
    ),
    Misconception(
        partial(_aligned, grid=False, sample=True),
        "align_corners is False in affine_grid and True in grid_sample: the picture shrinks a "
        "little. Say the same in both, here False.",
    ),
    Misconception(
        _aligned,
        "align_corners is True: −1 and 1 are then the middles of the outermost pixels, and the "
        "factors would have to be (H − 1) / (W − 1). Use False in both calls.",
    ),
)


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    return examine_function(
        with_tensors(answer),
        cases=_cases,
        oracle=_oracle,
        misconceptions=MISCONCEPTIONS,
        tolerance=1e-4,
    )


EXERCISE = Exercise(
    id="10.5",
    title="Turn a whole batch",
    objective="turn every image of a batch by an angle of its own, in one call of grid_sample",
    level=3,
    minutes=30,
    points=5,
    hints=(
        "angles = (2 * torch.rand(N, generator=generator) − 1) * max_degrees, in radians. Then "
        "theta of shape (N, 2, 3), with torch.stack, from cos, sin and zeros.",
        "For a square image theta is [[cos, −sin, 0], [sin, cos, 0]]: it says, for each output "
        "pixel (x, y), where to look. grid = F.affine_grid(theta, images.shape, "
        "align_corners=False), then F.grid_sample(images, grid, align_corners=False).",
        "If H and W differ, x is measured in units of W / 2 pixels and y in units of H / 2. Turn "
        "in pixels: x = W/2 · x', and divide again. What factor is left beside each sin?",
    ),
    solution=random_rotate,
    examine=_examine,
)
