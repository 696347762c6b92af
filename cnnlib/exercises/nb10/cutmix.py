"""Exercise 10.7, A patch of another image: the checker's pixels say where they are from."""

import numpy as np

from cnnlib.exercises.compare import kind, show
from cnnlib.exercises.engine import unfit
from cnnlib.exercises.nb10.tensors import call_twice, tensor_problem
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_attempted, not_yet, raised


def cutmix(images, labels, generator, num_classes):
    import torch
    import torch.nn.functional as F

    N, C, H, W = images.shape
    side = torch.rand((), generator=generator) ** 0.5  # of an area drawn from 0 to 1
    size = torch.tensor([H, W])
    middle = torch.rand(2, generator=generator) * size
    first = (middle - side * size / 2).round().int().clamp(min=0)
    last = torch.minimum((middle + side * size / 2).round().int(), size.int())
    (top, left), (bottom, right) = first.tolist(), last.tolist()
    order = torch.randperm(N, generator=generator).to(images.device)
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = images[order, :, top:bottom, left:right]
    share = (bottom - top) * (right - left) / (H * W)  # of what was really replaced
    targets = F.one_hot(labels, num_classes).float()
    return mixed, (1 - share) * targets + share * targets[order]


N, C, H, W, NUM_CLASSES = 6, 2, 16, 24, 8
NUM_SEEDS = 200


def _batch():
    """Image n holds n · 1000 + the number of the pixel; label n is n + 1."""
    import torch

    pixels = torch.arange(C * H * W, dtype=torch.float32).reshape(1, C, H, W)
    images = pixels + 1000 * torch.arange(N, dtype=torch.float32)[:, None, None, None]
    return images, torch.arange(N) + 1


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    boxes, chosen, targets_seen = [], [], []
    for seed in range(NUM_SEEDS):
        verdict, found = _one(answer, seed)
        if verdict:
            return verdict
        boxes += found[0]
        chosen += found[1]
        targets_seen.append(found[2])
    if problem := _of_all(boxes, chosen):
        return problem
    return correct(f"{NUM_SEEDS} batches: every pixel's origin, every target, and their spread.")


def _one(answer, seed: int):
    """(A verdict or None, (boxes, partners, targets)) of one batch."""
    import torch

    images, labels = _batch()
    given, given_labels = images.clone(), labels.clone()

    def call():
        generator = torch.Generator().manual_seed(seed)
        return answer(given, given_labels, generator, NUM_CLASSES)

    got, error, by_chance = call_twice(call)
    at = ("case", f"images {(N, C, H, W)}, labels 1 to {N}, num_classes={NUM_CLASSES}, seed {seed}")
    if isinstance(error, NotImplementedError) and seed == 0:
        return not_attempted(), None
    if error:
        return raised(error, at, attempted=seed > 0), None
    if not torch.equal(given, images) or not torch.equal(given_labels, labels):
        cause = "Clone the images before you write into them: the patch is read from them too."
        return not_yet("Your function changed its input.", at, cause=cause), None
    if not isinstance(got, tuple | list) or len(got) != 2:
        cause = "Return mixed, targets."
        return not_yet("Two results are wanted.", at, ("got", kind(got)), cause=cause), None
    mixed, targets = got
    if problem := tensor_problem(mixed, images):
        return problem, None
    if by_chance:
        cause = "Draw everything with generator=generator: torch.rand and torch.randperm take it."
        return not_yet("The generator does not decide everything.", at, cause=cause), None
    if problem := _targets_form(targets, at):
        return problem, None
    return _origins(mixed, targets.double().numpy(), images, at)


def _targets_form(targets, at) -> Verdict | None:
    import torch

    shape = (N, NUM_CLASSES)
    if not isinstance(targets, torch.Tensor) or tuple(targets.shape) != shape:
        found = f"shape {tuple(targets.shape)}" if hasattr(targets, "shape") else kind(targets)
        cause = "F.one_hot(labels, num_classes) turns class numbers into such rows."
        return not_yet(
            "The targets should be probabilities (N, num_classes).",
            at,
            ("expected", f"shape {shape}"),
            ("got", found),
            cause=cause,
        )
    if not targets.is_floating_point():
        cause = "F.one_hot gives whole numbers: .float() makes probabilities of them."
        return not_yet("The targets are whole numbers.", at, cause=cause)
    if not torch.allclose(targets.sum(dim=1), targets.new_ones(N), atol=1e-5):
        cause = (
            "The two shares should add up to 1: 1 − share for its own class, share for the other."
        )
        sums = show(targets.sum(dim=1).numpy())
        return not_yet("The targets do not sum to 1.", at, ("sums", sums), cause=cause)
    return None


def _origins(mixed, targets, images, at):
    """Where each pixel is from, and whether the targets say so."""
    values = mixed.numpy()
    source = (values // 1000).astype(int)  # (N, C, H, W)
    pixel = values - 1000 * source
    boxes, partners = [], []
    if not np.array_equal(pixel, np.broadcast_to(images[0].numpy(), pixel.shape)):
        cause = "The patch goes to the same rows and columns that it was taken from."
        if not np.array_equal(values, values.round()):
            cause = (
                "Pixels were blended, as in mixup; here each pixel is of one image or the other."
            )
        return not_yet("A pixel is not from its own place in any image.", at, cause=cause), None
    for n in range(N):
        foreign = source[n] != n
        others = np.unique(source[n][foreign])
        where = foreign.any(axis=0)
        rows, columns = np.flatnonzero(where.any(axis=1)), np.flatnonzero(where.any(axis=0))
        box = (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) if len(rows) else None
        if box and not foreign[:, box[0] : box[1], box[2] : box[3]].all():
            cause = "All channels alike, top to bottom and left to right; no wrapping around."
            return not_yet("What was replaced is no rectangle.", at, cause=cause), None
        if len(others) > 1:
            cause = "One partner for each image: a permutation, torch.randperm(N)."
            return not_yet("A patch is from several images.", at, cause=cause), None
        share = foreign.mean()
        wanted = np.zeros(NUM_CLASSES)
        wanted[n + 1] += 1 - share
        if len(others):
            wanted[others[0] + 1] += share
        if np.abs(wanted - targets[n]).max() > 1e-5:
            said = f"image {n}: {foreign[0].sum()} of {H * W} pixels are of image {others}"
            return _wrong_target(n, wanted, targets[n], box, (at, ("pixels", said))), None
        boxes.append(box)
        partners.append(int(others[0]) if len(others) else n)
    return None, ([next(filter(None, boxes), None)], partners, targets)


def _wrong_target(n, wanted, got, box, at) -> Verdict:
    pair = ("expected", show(wanted.round(4))), ("got", show(got.round(4)))
    cause = "The share of the partner's label is the part of the pixels that are from it."
    classes = np.flatnonzero(got > 1e-5), np.flatnonzero(wanted > 1e-5)
    own = wanted[n + 1]
    at_rim = box and (box[0] == 0 or box[2] == 0 or box[1] == H or box[3] == W)
    if set(classes[0]) != set(classes[1]) and got.max() < 1 - 1e-5:
        cause = "The labels were mixed with another image's than the pixels: use one and the same "
        cause += "order for both."
    elif np.isclose(got[n + 1], 1 - own, atol=1e-5):
        cause = (
            "The two shares have changed places: the image's own label gets what is *left* of it."
        )
    elif got.max() > 1 - 1e-5:
        cause = "The target knows only one of the two images; both are in the picture."
    elif at_rim:
        cause = (
            "The rectangle was cut off at the rim (or rounded to whole pixels), and the target "
            "still has the share that was drawn. Count what was really replaced: (bottom − top) · "
            "(right − left) / (H · W)."
        )
    else:
        cause += (
            " Rectangles have whole pixels: count them after rounding, (bottom − top) · "
            "(right − left) / (H · W), in place of the share that was drawn."
        )
    return not_yet("A target does not say what is in the picture.", *at, *pair, cause=cause)


def _of_all(boxes, partners) -> Verdict | None:
    """What can only be seen over many batches: sizes, forms and places of the rectangles."""
    at = ("case", f"{NUM_SEEDS} batches")
    found = [box for box in boxes if box]
    if not found or all(p == n % N for n, p in enumerate(partners)):
        cause = "Every image should get a patch of another one."
        return not_yet("No image has a patch of another.", at, cause=cause)
    if len(set(found)) == 1:
        cause = "The rectangle is drawn anew for each batch, from the generator."
        return not_yet("The rectangle is always the same.", at, cause=cause)
    sizes = np.array([(bottom - top, right - left) for top, bottom, left, right in found])
    inner = np.array([t > 0 and l > 0 and b < H and r < W for t, b, l, r in found])
    uneven = np.abs(sizes[:, 0] / H - sizes[:, 1] / W) > 1.01 / H + 1.01 / W
    if uneven[inner].mean() > 0.05:
        cause = "It has the image's proportions: √area · H high and √area · W wide."
        return not_yet("The rectangles have another form.", at, cause=cause)
    mean = sizes.prod(axis=1).sum() / (H * W) / len(boxes)
    expected = 0.321  # over 200,000 rectangles; the mean of 200 is off by 0.013
    if inner.mean() > 0.9 or (mean > 0.43 and uneven.mean() < 0.05):
        cause = "The middle may lie anywhere in the image, near the rim too; what would hang over "
        cause += "is cut off."
        return not_yet("The rectangle never hangs over the rim.", at, cause=cause)
    if abs(mean - expected) > 0.06:
        cause = "Its area, before it is cut at the rim, is drawn evenly from 0 to 1."
        if mean < expected - 0.06:
            cause += " The sides are √area · H and √area · W: without the root it is too small."
        pair = (
            ("expected", f"about {expected:.2f} of the image, on average"),
            ("got", f"{mean:.2f}"),
        )
        return not_yet("The rectangles have the wrong sizes.", at, *pair, cause=cause)
    return None


EXERCISE = Exercise(
    id="10.7",
    title="A patch of another image",
    objective="write cutmix with targets that say what is really in the picture",
    level=2,
    minutes=25,
    points=4,
    hints=(
        "Draw an area from 0 to 1; the sides of the rectangle are √area · H and √area · W. Draw "
        "its middle anywhere in the image. Round, then cut off what hangs over.",
        "order = torch.randperm(N, generator=generator): image n gets its patch from image "
        "order[n], and its label too.",
        "share = (bottom − top) · (right − left) / (H · W), after the cut. targets = (1 − share) · "
        "one_hot + share · one_hot[order].",
    ),
    solution=cutmix,
    examine=_examine,
)
