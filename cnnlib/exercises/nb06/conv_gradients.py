"""Exercise 06.7, Backward by convolutions only."""

from functools import partial

import numpy as np

from cnnlib import ops
from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.nb06.oracles import autograd
from cnnlib.exercises.verdicts import Case, Exercise, Misconception


def conv_gradients(grad_out, images, weight, stride=1, padding=0, dilation=1, groups=1):
    (N, C, H, W), (O, group_in, kh, kw) = images.shape, weight.shape
    reach_h, reach_w = dilation * (kh - 1), dilation * (kw - 1)
    # As many places as at stride 1; where the stride skipped one, and in the remainder, zeros.
    places = (H + 2 * padding - reach_h, W + 2 * padding - reach_w)
    spread = np.zeros((N, O, *places), dtype=grad_out.dtype)
    spread[:, :, ::stride, ::stride] = grad_out
    # The image: every pixel hears from the windows that saw it, through the turned kernel.
    turned = weight.reshape(groups, O // groups, group_in, kh, kw).swapaxes(1, 2)
    turned = turned.reshape(C, O // groups, kh, kw)[:, :, ::-1, ::-1]
    full = ops.conv2d(spread, turned, padding=(reach_h, reach_w), dilation=dilation, groups=groups)
    grad_images = full[:, :, padding : padding + H, padding : padding + W]
    # The weights: the gradients are the kernel, and the images of a batch are its channels.
    stacked = images.reshape(N, groups, group_in, H, W).transpose(2, 1, 0, 3, 4)
    stacked = stacked.reshape(group_in, groups * N, H, W)
    grad_weight = ops.conv2d(
        stacked, spread.swapaxes(0, 1), stride=dilation, padding=padding, groups=groups
    )
    return grad_images, grad_weight.swapaxes(0, 1)


def _by_torch(grad_out, images, weight, stride=1, padding=0, dilation=1, groups=1):
    def convolve(torch, images, weight):
        return torch.nn.functional.conv2d(images, weight, None, stride, padding, dilation, groups)

    return autograd(convolve, (images, weight), grad_out)


def _cases():
    rng = np.random.default_rng(67)

    def case(N, C, H, W, O, kh, kw, note="", **kwargs):
        s, p, d = (kwargs.get(k, v) for k, v in (("stride", 1), ("padding", 0), ("dilation", 1)))
        out = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k in ((H, kh), (W, kw))]
        shapes = ((N, O, *out), (N, C, H, W), (O, C // kwargs.get("groups", 1), kh, kw))
        return Case(tuple(rng.integers(-3, 5, shape) * 1.0 for shape in shapes), kwargs, note)

    yield case(1, 1, 2, 2, 1, 2, 2)
    yield case(1, 1, 3, 3, 1, 2, 2, "four windows")
    yield case(1, 1, 3, 4, 1, 2, 3, "a kernel that is not square")
    yield case(2, 1, 3, 3, 1, 2, 2, "two images")
    yield case(1, 2, 3, 3, 1, 2, 2, "two channels")
    yield case(1, 2, 3, 3, 2, 2, 2, "two channels and two kernels")
    yield case(2, 2, 4, 3, 3, 2, 2, "three kernels")
    yield case(1, 1, 3, 3, 1, 3, 3, "padding", padding=1)
    yield case(1, 1, 3, 3, 1, 2, 2, "more padding than the kernel reaches", padding=2)
    yield case(1, 1, 4, 4, 1, 2, 2, "stride", stride=2)
    yield case(1, 1, 5, 6, 1, 2, 3, "a stride that leaves a remainder", stride=2)
    yield case(1, 1, 5, 5, 1, 2, 2, "dilation", dilation=2)
    yield case(1, 4, 2, 2, 4, 1, 1, "groups", groups=2)
    yield case(2, 4, 4, 3, 6, 2, 2, "groups of two channels and three kernels", groups=2)
    for _ in range(16):
        groups = int(rng.integers(1, 4))
        kh, kw, dilation = (int(n) for n in rng.integers(1, 4, 3))
        yield case(
            int(rng.integers(1, 3)), groups * int(rng.integers(1, 3)),
            int(rng.integers(7, 11)), int(rng.integers(7, 11)), groups * int(rng.integers(1, 3)),
            kh, kw, "everything together", stride=int(rng.integers(1, 4)),
            padding=int(rng.integers(0, 3)), dilation=dilation, groups=groups,
        )  # fmt: skip


def _twisted(change_weight=None, change_out=None, after=lambda gi, gw, N: (gi, gw), **fixed):
    """The right way, with arguments or results changed."""

    def wrong(grad_out, images, weight, **kwargs):
        grad_out = grad_out if change_out is None else change_out(grad_out)
        used = weight if change_weight is None else change_weight(weight)
        return after(*_loops(grad_out, images, used, **{**kwargs, **fixed}), len(images))

    return wrong


def _loops(
    grad_out, images, weight, stride=1, padding=0, dilation=1, groups=1, crop=True, order=None
):
    """Both gradients, output pixel by output pixel."""
    (_, C, H, W), (O, group_in, kh, kw) = images.shape, weight.shape
    padded = np.pad(images, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    grad_padded, grad_weight = np.zeros_like(padded), np.zeros_like(weight)
    channels = np.arange(C).reshape(groups, group_in) if order is None else order(C, groups)
    for o in range(O):
        own = channels[o // (O // groups)]
        for r, q in np.ndindex(grad_out.shape[2:]):
            rows = slice(r * stride, r * stride + dilation * (kh - 1) + 1, dilation)
            columns = slice(q * stride, q * stride + dilation * (kw - 1) + 1, dilation)
            grads = grad_out[:, o, r, q][:, None, None, None]
            for c, channel in enumerate(own):
                seen = padded[:, channel, rows, columns]
                grad_weight[o, c] += (grads[:, 0] * seen).sum(axis=0)
                grad_padded[:, channel, rows, columns] += grads[:, 0] * weight[o, c]
    start = padding if crop else 0
    return grad_padded[:, :, start : start + H, start : start + W], grad_weight


def _roles_kept(weight):
    """The kernels with input and output channels confused, where the shape allows it."""
    return weight.swapaxes(0, 1) if weight.shape[0] == weight.shape[1] else weight


def _no_remainder(grad_out, images, weight, stride=1, padding=0, dilation=1, groups=1):
    gi, gw = _loops(grad_out, images, weight, stride, padding, dilation, groups)
    kept = [
        (n - 1) * stride + dilation * (k - 1) + 1 - 2 * padding
        for n, k in zip(grad_out.shape[2:], weight.shape[2:], strict=True)
    ]
    return gi[:, :, : kept[0], : kept[1]], gw


def _uncut_weight(grad_out, images, weight, stride=1, padding=0, dilation=1, groups=1):
    """The weight's gradient with the rows that the remainder adds."""
    settings = (stride, padding, dilation, groups)
    more = [
        (m + 2 * padding - (n - 1) * stride - 1) // dilation + 1 - k
        for m, n, k in zip(images.shape[2:], grad_out.shape[2:], weight.shape[2:], strict=True)
    ]
    larger = np.pad(weight, ((0, 0), (0, 0), (0, more[0]), (0, more[1])))
    return _loops(grad_out, images, weight, *settings)[0], _loops(
        grad_out, images, larger, *settings
    )[1]


EXERCISE = Exercise(
    id="06.7",
    title="Backward by convolutions only",
    objective="write both gradients of any convolution as convolutions",
    level=3,
    minutes=50,
    points=8,
    hints=(
        "Get rid of the stride first: a layer with a stride is the same layer at stride 1, of "
        "whose outputs only every s-th is kept. So lay grad_out out on zeros, as large as the "
        "output would be at stride 1: H + 2p − d (k − 1) rows. The remainder is in that number.",
        "grad_images: pad that array by d (k − 1), turn the kernels by 180°, exchange their input "
        "and output channels within each group, convolve with the same dilation, and cut the "
        "padding off. grad_weight: the images are convolved with that array as kernel, "
        "stride = dilation.",
        "For grad_weight the sum runs over the batch, so the batch has to stand where channels "
        "stand: images.swapaxes(0, 1), spread.swapaxes(0, 1), and the result swapped back. With "
        "groups: images as (C/groups, groups · N, H, W), and groups=groups.",
    ),
    solution=conv_gradients,
    examine=partial(
        examine_function,
        cases=_cases,
        oracle=_by_torch,
        misconceptions=(
            Misconception(
                _twisted(change_weight=lambda w: w[:, :, ::-1, ::-1]),
                "The kernel was not turned. A pixel lies under the kernel's last weight for the "
                "first window that sees it: turn by 180°.",
            ),
            Misconception(
                _twisted(after=lambda gi, gw, N: (gi, gw[:, :, ::-1, ::-1])),
                "The weight's gradient came out turned by 180°. Only for the image is the kernel "
                "turned; for the weights, grad_out slides over the images as it stands.",
            ),
            Misconception(
                _twisted(change_weight=_roles_kept),
                "Input and output channels were not exchanged: on the way back the O channels of "
                "grad_out go in and the C channels of the image come out.",
            ),
            Misconception(
                _no_remainder,
                "The rows and columns that the stride left over are missing. No window saw them, "
                "so their gradient is 0, and they belong to the image: pad the end.",
            ),
            Misconception(
                _uncut_weight,
                "The weight's gradient is larger than the weight: the remainder of the stride "
                "lets grad_out slide too far. Keep the first kh × kw, or pad grad_out's end.",
            ),
            Misconception(
                _twisted(after=lambda gi, gw, N: (gi, gw / N)),
                "The weight's gradient was averaged over the images; it is their sum.",
            ),
            Misconception(
                _twisted(crop=False),
                "The padding was cut off at the wrong end: the image begins at row and column "
                "`padding` of the padded one.",
            ),
            Misconception(
                _twisted(order=lambda C, groups: np.arange(C).reshape(-1, groups).T),
                "The groups took every groups-th channel. A group is a block of channels that "
                "stand together.",
            ),
            Misconception(
                _twisted(change_out=np.ones_like),
                "grad_out was taken for ones.",
            ),
            Misconception(
                _twisted(change_weight=lambda w: w.swapaxes(2, 3)[:, :, ::-1, ::-1].swapaxes(2, 3)[
                    :, :, ::-1, :] if w.shape[2] == w.shape[3] else w),
                "The kernel was mirrored along one axis only: turning by 180° reverses the rows "
                "and the columns.",
            ),
        ),
    ),
)  # fmt: skip
