"""Notebook 03's checkers: wrong answers are rejected for the right reason, right ones accepted."""

import math

import numpy as np
import pytest

from cnnlib import geometry, ops
from cnnlib.exercises import EXERCISES, examine

from .mutants import Mutant, survives, words, wrong

MUTANTS: list[Mutant] = []
IDS = [name for name in EXERCISES if name.startswith("03.")]


def mutant(exercise_id, *says, outcome="not yet"):
    return wrong(MUTANTS, exercise_id, *says, outcome=outcome)


# 03.1 same_padding(kernel_size, dilation=1)


@mutant("03.1", "k", "even kernel the output grows by one")
def half_the_kernel_on_both_sides(kernel_size, dilation=1):
    half = kernel_size // 2
    return half, half


@mutant("03.1", "an even kernel", "one side needs one more")
def equal_on_both_sides(kernel_size, dilation=1):
    span = dilation * (kernel_size - 1) + 1
    return (span - 1) // 2, (span - 1) // 2


@mutant("03.1", "rounded up", "too many")
def equal_and_rounded_up(kernel_size, dilation=1):
    each = math.ceil(dilation * (kernel_size - 1) / 2)
    return each, each


@mutant("03.1", "stands in front", "behind")
def puts_the_odd_zero_in_front(kernel_size, dilation=1):
    total = (kernel_size - 1) * dilation
    after = total // 2
    return total - after, after


@mutant("03.1", "dilation was not used")
def forgets_the_dilation(kernel_size, dilation=1):
    return (kernel_size - 1) // 2, kernel_size // 2


@mutant("03.1", "not dilation × k")
def spans_dilation_times_k(kernel_size, dilation=1):
    span = dilation * kernel_size
    return (span - 1) // 2, span // 2


@mutant("03.1", "on both sides", "grow")
def puts_all_of_it_on_both_sides(kernel_size, dilation=1):
    return (dilation * (kernel_size - 1),) * 2


@mutant("03.1", "half a row", "//")
def pads_half_rows(kernel_size, dilation=1):
    total = dilation * (kernel_size - 1)
    return total / 2, total / 2


@mutant("03.1", "2 results are wanted")
def returns_the_total(kernel_size, dilation=1):
    return dilation * (kernel_size - 1)


@mutant("03.1", "returned None", "return")
def prints_the_padding(kernel_size, dilation=1):
    str((kernel_size // 2, kernel_size // 2))


@mutant("03.1", "unexpected keyword argument", outcome="error")
def takes_no_dilation(kernel_size):
    return (kernel_size - 1) // 2, kernel_size // 2


# 03.2 output_size(image_size, kernel_size, stride, padding, dilation)


def places(**twist):
    """Counts places one by one; each twist is one thing that a learner may get wrong."""

    def along(n, k, s, p, d):
        length = n + twist.get("sides", 2) * p
        span = twist.get("span", lambda d, k: d * (k - 1) + 1)(d, k)
        last = length - span + twist.get("over", lambda s: 0)(s)
        if last < 0:
            raise ValueError("the kernel does not fit")
        return len(range(0, last + 1, s if twist.get("steps", True) else 1))

    def answer(image_size, kernel_size, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
        rows = zip(image_size, kernel_size, stride, padding, dilation, strict=True)
        return tuple(along(*row) for row in rows)

    return answer


@mutant("03.2", "fraction", "round down")
def divides_without_rounding(image_size, kernel_size, stride=(1, 1), padding=(0, 0), dilation=None):
    spans = [d * (k - 1) + 1 for d, k in zip(dilation or (1, 1), kernel_size, strict=True)]
    rows = zip(image_size, spans, stride, padding, strict=True)
    return tuple((n + 2 * p - span) / s + 1 for n, span, s, p in rows)


@mutant("03.2", "hang over the edge", "a remainder")
def lets_the_last_window_hang_over(image_size, kernel_size, stride=(1, 1), **settings):
    return places(over=lambda s: s - 1)(image_size, kernel_size, stride, **settings)


@mutant("03.2", "Rounded to the nearest")
def rounds_to_the_nearest(image_size, kernel_size, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    H = (image_size[0] + 2 * padding[0] - dilation[0] * (kernel_size[0] - 1) - 1) / stride[0] + 1
    W = (image_size[1] + 2 * padding[1] - dilation[1] * (kernel_size[1] - 1) - 1) / stride[1] + 1
    return int(np.rint(H - 1)) + 1, int(np.rint(W - 1)) + 1


@mutant("03.2", "counted once", "both sides")
def pads_one_side(image_size, kernel_size, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    rows = zip(image_size, kernel_size, stride, padding, dilation, strict=True)
    return tuple((n + p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in rows)


@mutant("03.2", "padding was not used")
def ignores_the_padding(image_size, kernel_size, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    rows = zip(image_size, kernel_size, stride, dilation, strict=True)
    return tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in rows)


@mutant("03.2", "dilation was not used")
def ignores_the_dilation(image_size, kernel_size, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    rows = zip(image_size, kernel_size, stride, padding, strict=True)
    return tuple((n + 2 * p - k) // s + 1 for n, k, s, p in rows)


@mutant("03.2", "not dilation × k")
def counts_the_span_as_d_times_k(
    image_size, kernel_size, stride=(1, 1), padding=(0, 0), dilation=(1, 1)
):
    rows = zip(image_size, kernel_size, stride, padding, dilation, strict=True)
    return tuple(math.floor((n + 2 * p - d * k) / s + 1) for n, k, s, p, d in rows)


@mutant("03.2", "One place is missing", "first place")
def forgets_the_first_place(
    image_size, kernel_size, stride=(1, 1), padding=(0, 0), dilation=(1, 1)
):
    sizes = places()(image_size, kernel_size, stride, padding, dilation)
    return sizes[0] - 1, sizes[1] - 1


@mutant("03.2", "added before the division")
def adds_one_before_dividing(
    image_size, kernel_size, stride=(1, 1), padding=(0, 0), dilation=(1, 1)
):
    rows = zip(image_size, kernel_size, stride, padding, dilation, strict=True)
    return tuple((n + 2 * p - d * (k - 1) - 1 + 1) // s for n, k, s, p, d in rows)


@mutant("03.2", "stride was not used")
def ignores_the_stride(image_size, kernel_size, stride=(1, 1), **settings):
    return places(steps=False)(image_size, kernel_size, stride, **settings)


@mutant("03.2", "wrong order")
def returns_the_width_first(image_size, kernel_size, **settings):
    return places()(image_size, kernel_size, **settings)[::-1]


@mutant("03.2", "impossible one", "does not fit")
def never_refuses(image_size, kernel_size, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    rows = zip(image_size, kernel_size, stride, padding, dilation, strict=True)
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in rows)


@mutant("03.2", "impossible one", "stride", "before you divide")
def cuts_off_towards_zero_and_looks_afterwards(
    image_size, kernel_size, stride=(1, 1), padding=(0, 0), dilation=(1, 1)
):
    rows = zip(image_size, kernel_size, stride, padding, dilation, strict=True)
    sizes = tuple(int((n + 2 * p - d * (k - 1) - 1) / s) + 1 for n, k, s, p, d in rows)
    if min(sizes) < 1:
        raise ValueError("no output is left")
    return sizes


@mutant("03.2", "has to be an integer", "float")
def returns_floats(image_size, kernel_size, stride=(1, 1), **settings):
    return tuple(float(n) for n in places()(image_size, kernel_size, stride, **settings))


@mutant("03.2", "a ValueError, since", "AssertionError", outcome="error")
def asserts_that_it_fits(image_size, kernel_size, stride=(1, 1), **settings):
    try:
        return places()(image_size, kernel_size, stride, **settings)
    except ValueError as error:
        raise AssertionError("does not fit") from error


@mutant("03.2", "ValueError: the kernel does not fit", outcome="error")
def refuses_kernels_larger_than_the_image(image_size, kernel_size, stride=(1, 1), **settings):
    if kernel_size[0] > image_size[0] or kernel_size[1] > image_size[1]:
        raise ValueError("the kernel does not fit")
    return places()(image_size, kernel_size, stride, **settings)


# 03.3 layer_cost(image_size, in_channels, out_channels, kernel_size, stride, padding, groups)


def cost(count_bias=True, seen=lambda C, groups: C // groups, macs=lambda n, C, groups: n):
    """Asks the library; each argument is one thing that a learner may get wrong."""

    def answer(image_size, C, O, kernel_size, stride=1, padding=0, groups=1):
        area = kernel_size[0] * kernel_size[1]
        weights = O * seen(C, groups) * area
        out_h, out_w = geometry.conv_output_size(
            image_size, kernel_size, stride=stride, padding=padding
        )
        return weights + O * count_bias, macs(out_h * out_w * weights, C, groups)

    return answer


@mutant("03.3", "biases are missing")
def forgets_the_biases(*args, **kwargs):
    return cost(count_bias=False)(*args, **kwargs)


@mutant("03.3", "one bias for the whole layer")
def counts_one_bias(*args, **kwargs):
    parameters, macs = cost(count_bias=False)(*args, **kwargs)
    return parameters + 1, macs


@mutant("03.3", "for each grid")
def counts_a_bias_for_each_grid(image_size, C, O, kernel_size, groups=1, **settings):
    _, macs = cost()(image_size, C, O, kernel_size, groups=groups, **settings)
    return O * (C // groups) * (math.prod(kernel_size) + 1), macs


@mutant("03.3", "groups were not used")
def ignores_the_groups(*args, **kwargs):
    return cost(seen=lambda C, groups: C)(*args, **kwargs)


@mutant("03.3", "the MACs do not")
def ignores_the_groups_in_the_macs(*args, **kwargs):
    return cost(macs=lambda n, C, groups: n * groups)(*args, **kwargs)


@mutant("03.3", "cost of one group")
def counts_one_group(image_size, C, O, kernel_size, groups=1, **settings):
    return cost()(image_size, C // groups, O // groups, kernel_size, **settings)


@mutant("03.3", "every pixel of the input")
def counts_a_window_for_each_input_pixel(image_size, C, O, kernel_size, groups=1, **settings):
    parameters, _ = cost()(image_size, C, O, kernel_size, groups=groups, **settings)
    return parameters, image_size[0] * image_size[1] * (parameters - O)


@mutant("03.3", "added, not multiplied")
def multiplies_the_bias(image_size, C, O, kernel_size, groups=1, **settings):
    parameters, macs = cost()(image_size, C, O, kernel_size, groups=groups, **settings)
    return parameters, macs // (parameters - O) * parameters


@mutant("03.3", "one output channel")
def counts_the_macs_of_one_kernel(image_size, C, O, kernel_size, groups=1, **settings):
    parameters, macs = cost()(image_size, C, O, kernel_size, groups=groups, **settings)
    return parameters, macs // O


@mutant("03.3", "every channel of its group")
def counts_the_macs_of_one_channel(image_size, C, O, kernel_size, groups=1, **settings):
    parameters, macs = cost()(image_size, C, O, kernel_size, groups=groups, **settings)
    return parameters, macs // (C // groups)


@mutant("03.3", "padding were left out")
def leaves_products_with_padding_out(image_size, C, O, kernel_size, stride=1, padding=0, groups=1):
    inside = ops.conv2d(
        np.ones((1, 1, *image_size)), np.ones((1, 1, *kernel_size)), stride=stride, padding=padding
    ).sum()
    parameters = O * (C // groups * math.prod(kernel_size) + 1)
    return parameters, int(inside) * O * C // groups


@mutant("03.3", "wrong order")
def returns_the_macs_first(*args, **kwargs):
    return cost()(*args, **kwargs)[::-1]


@mutant("03.3", "2 results are wanted")
def returns_the_parameters_only(*args, **kwargs):
    return cost()(*args, **kwargs)[0]


# 03.4 conv_transpose(image, kernel, stride=1)


def stamped(image, kernel, stride=1, add=True, rows=None, columns=None, place=lambda n, s: n * s):
    """Copies of the kernel, stamped; each argument is one thing that a learner may get wrong."""
    (H, W), (kh, kw) = image.shape, kernel.shape
    larger = np.zeros((H * stride + kh + H, W * stride + kw + W), dtype=image.dtype)
    for r, c, i, j in np.ndindex(H, W, kh, kw):
        at = place(r, stride) + i, place(c, stride) + j
        larger[at] = image[r, c] * kernel[i, j] + (larger[at] if add else 0)
    rows = (H - 1) * stride + kh if rows is None else rows
    columns = (W - 1) * stride + kw if columns is None else columns
    return larger[:rows, :columns].copy()


@mutant("03.4", "copies overlap", "+=")
def overwrites(image, kernel, stride=1):
    return stamped(image, kernel, stride, add=False)


@mutant("03.4", "flipped", "as the kernel stands")
def flips_the_kernel(image, kernel, stride=1):
    return stamped(image, np.rot90(kernel, 2), stride)


@mutant("03.4", "matrix", "stamped as it stands")
def transposes_the_kernel(image, kernel, stride=1):
    return stamped(image, np.swapaxes(kernel, 0, 1), stride)


@mutant("03.4", "stride was not used")
def ignores_stride(image, kernel, stride=1):
    return stamped(image, kernel, 1)


@mutant("03.4", "cut off at H · stride")
def crops_to_stride_times_size(image, kernel, stride=1):
    H, W = image.shape
    return stamped(image, kernel, stride, rows=H * stride, columns=W * stride)


@mutant("03.4", "size is wrong")
def leaves_room_for_one_copy_too_many(image, kernel, stride=1):
    H, W = image.shape
    return stamped(image, kernel, stride, rows=H * stride + len(kernel), columns=W * stride + 9)


@mutant("03.4", "gathers windows", "larger than the image", outcome="error")
def convolves(image, kernel, stride=1):
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape)
    return (windows[::stride, ::stride] * kernel).sum(axis=(2, 3))


@mutant("03.4", "flipped", "as the kernel stands")
def slides_over_the_spread_image_without_a_flip(image, kernel, stride=1):
    (H, W), (kh, kw) = image.shape, kernel.shape
    spread = np.zeros(((H - 1) * stride + 2 * kh - 1, (W - 1) * stride + 2 * kw - 1))
    spread[kh - 1 : len(spread) - kh + 1 : stride, kw - 1 : spread.shape[1] - kw + 1 : stride] = (
        image
    )
    return ops.conv2d(spread[None, None], kernel[None, None])[0, 0]


@mutant("03.4", "dtype", "int64")
def stamps_whole_numbers(image, kernel, stride=1):
    whole = stamped(image, kernel, stride)
    return whole.round().astype(np.int64) if (whole == whole.round()).all() else whole


@mutant("03.4", "changed its input")
def stamps_into_the_kernel(image, kernel, stride=1):
    output = stamped(image, kernel, stride)
    kernel *= 2
    return output


@mutant("03.4", "mirrored")
def stamps_from_the_right(image, kernel, stride=1):
    return stamped(image, kernel, stride)[:, ::-1].copy()


@mutant("03.4", "NumPy array is wanted", "list")
def returns_a_list(image, kernel, stride=1):
    return stamped(image, kernel, stride).tolist()


# 03.5 output_padding_for(image_size, kernel_size, stride=1, padding=0, dilation=1)


def lost(image_size, kernel_size, stride=1, padding=0, dilation=1):
    (there, _) = geometry.conv_output_size(
        (image_size, 99), kernel_size, stride=stride, padding=padding, dilation=dilation
    )
    (back, _) = geometry.conv_transpose_output_size(
        (there, 99), kernel_size, stride=stride, padding=padding, dilation=dilation
    )
    return image_size - back


@mutant("03.5", "stride − 1", "no other")
def takes_stride_minus_one(image_size, kernel_size, stride=1, padding=0, dilation=1):
    return max(stride - 1, 0)


@mutant("03.5", "Always 0")
def takes_zero(image_size, kernel_size, stride=1, padding=0, dilation=1):
    return 0


@mutant("03.5", "image's size alone")
def takes_the_remainder_of_the_size(image_size, kernel_size, stride=1, padding=0, dilation=1):
    return divmod(image_size, stride)[1]


@mutant("03.5", "one off", "spans")
def forgets_the_one(image_size, kernel_size, stride=1, padding=0, dilation=1):
    return (lost(image_size, kernel_size, stride, padding, dilation) + 1) % stride


@mutant("03.5", "padding was not used")
def ignores_padding(image_size, kernel_size, stride=1, padding=0, dilation=1):
    return lost(image_size, kernel_size, stride, dilation=dilation)


@mutant("03.5", "counted once")
def pads_once(image_size, kernel_size, stride=1, padding=0, dilation=1):
    return lost(image_size + padding, kernel_size, stride, 0, dilation)


@mutant("03.5", "dilation was not used")
def ignores_dilation(image_size, kernel_size, stride=1, padding=0, dilation=1):
    return lost(image_size, kernel_size, stride, padding)


@mutant("03.5", "not dilation · k")
def spans_d_times_k(image_size, kernel_size, stride=1, padding=0, dilation=1):
    return (image_size + padding + padding - dilation * kernel_size) % stride


@mutant("03.5", "missing to the next whole step")
def counts_up_to_the_next_step(image_size, kernel_size, stride=1, padding=0, dilation=1):
    left = lost(image_size, kernel_size, stride, padding, dilation)
    return (stride - left) % stride


@mutant("03.5", "quotient")
def takes_the_quotient(image_size, kernel_size, stride=1, padding=0, dilation=1):
    span = dilation * (kernel_size - 1) + 1
    return (image_size + 2 * padding - span) // stride


@mutant("03.5", "sign", "too small")
def subtracts_the_wrong_way_round(image_size, kernel_size, **settings):
    return -lost(image_size, kernel_size, **settings)


# 03.6 receptive_field(layers)


def field(order=1, own_jump=False, reach=lambda k, d: d * (k - 1), sign=-1, far=True, join="mul"):
    """Keeps the first and the last pixel; each argument is one thing that may go wrong."""

    def answer(layers):
        first, last, jump = 0, 0, 1
        for k, s, p, d in layers[::order]:
            now = jump * s if own_jump else jump
            last += (reach(k, d) - p) * now if far else reach(k, d) - p * now
            first += sign * p * now
            last -= (sign + 1) * p * now * -1  # a wrong sign moves both ends
            jump = {"mul": jump * s, "add": jump + s - 1, "own": s}[join]
        return last - first + 1, jump, first

    return answer


@mutant("03.6", "too early", "below")
def multiplies_the_jump_too_early(layers):
    return field(own_jump=True)(layers)


@mutant("03.6", "too early", "below")
def multiplies_the_jump_too_early_for_the_size(layers):
    size, jump, start = 1, 1, 0
    for k, s, p, d in layers:
        start = start - p * jump
        jump = jump * s
        size = size + d * (k - 1) * jump
    return size, jump, start


@mutant("03.6", "multiplied by the jump", "one step is several pixels")
def adds_the_reach_without_the_jump(layers):
    return field(far=False)(layers)


@mutant("03.6", "padding has to be multiplied by the jump")
def adds_the_padding_without_the_jump(layers):
    size, jump, _ = field()(layers)
    return size, jump, -sum(p for _, _, p, _ in layers)


@mutant("03.6", "sign of start")
def starts_after_the_padding(layers):
    size, jump, start = field()(layers)
    return size, jump, abs(start)


@mutant("03.6", "dilation was not used")
def ignores_dilations(layers):
    return field(reach=lambda k, d: k - 1)(layers)


@mutant("03.6", "not d·k − 1")
def reaches_d_times_k_minus_one(layers):
    return field(reach=lambda k, d: d * k - 1)(layers)


@mutant("03.6", "not all k")
def adds_all_of_the_kernel(layers):
    return field(reach=lambda k, d: d * k)(layers)


@mutant("03.6", "do not multiply", "3 becomes 5")
def multiplies_the_fields(layers):
    _, jump, start = field()(layers)
    return math.prod(d * (k - 1) + 1 for k, _, _, d in layers), jump, start


@mutant("03.6", "Jumps multiply")
def adds_the_jumps(layers):
    return field(join="add")(layers)


@mutant("03.6", "this layer's alone")
def takes_the_last_stride_for_the_jump(layers):
    return field(join="own")(layers)


@mutant("03.6", "from the last to the first")
def goes_from_the_last_to_the_first(layers):
    return field(order=-1)(layers)


@mutant("03.6", "does not make it smaller")
def takes_the_padding_off_the_size(layers):
    size, jump, start = field()(layers)
    return size + 2 * start, jump, start


@mutant("03.6", "3 results are wanted", "2")
def returns_size_and_jump(layers):
    return field()(layers)[:2]


@mutant("03.6", "changed its input")
def takes_layers_off_the_list(layers):
    result = field()(layers)
    layers.pop()
    return result


@mutant("03.6", "wrong order")
def returns_start_jump_size(layers):
    return field()(layers)[::-1]


# 03.7 design_stack(size, channels, max_parameters)


def grow(size, factor=3, start=1):
    """Dilations 1, factor, factor², …, the last cut to what is missing."""
    wanted, dilations, dilation = (size - 1) // 2, [], start
    while sum(dilations) < wanted:
        dilations.append(min(dilation, wanted - sum(dilations)))
        dilation *= factor
    return dilations


def affordable(size, channels, max_parameters, dilations):
    if size % 2 == 0 or len(dilations) * channels * (9 * channels + 1) > max_parameters:
        raise ValueError("too much is asked")
    return dilations


@mutant("03.7", "costs too much", "safe and slow")
def uses_no_dilation(size, channels, max_parameters):
    return [1] * ((size - 1) // 2)


@mutant("03.7", "costs too much", "Doubling")
def doubles_the_dilation(size, channels, max_parameters):
    return grow(size, factor=2)


@mutant("03.7", "not seen", "Holes", "2R + 1")
def takes_one_layer_of_large_dilation(size, channels, max_parameters):
    return affordable(size, channels, max_parameters, [(size - 1) // 2])


@mutant("03.7", "not seen", "no path leads to pixel")
def grows_fourfold(size, channels, max_parameters):
    return affordable(size, channels, max_parameters, grow(size, factor=4))


@mutant("03.7", "Too large", "cut")
def does_not_cut_the_last_dilation(size, channels, max_parameters):
    dilations, dilation = [], 1
    while 1 + 2 * sum(dilations) < size:
        dilations.append(dilation)
        dilation *= 3
    return affordable(size, channels, max_parameters, dilations)


@mutant("03.7", "sum to the size")
def lets_the_dilations_sum_to_the_size(size, channels, max_parameters):
    return grow(2 * size + 1)


@mutant("03.7", "Too small")
def spends_only_half_the_reach(size, channels, max_parameters):
    return grow((size + 1) // 2)


@mutant("03.7", "an even size", "must be odd")
def rounds_an_even_size_down(size, channels, max_parameters):
    return affordable(size - (size % 2 == 0), channels, max_parameters, grow(size))


@mutant("03.7", "No such stack", "the budget must pay")
def forgets_the_budget(size, channels, max_parameters):
    if size % 2 == 0:
        raise ValueError("even")
    return grow(size)


@mutant("03.7", "can be built", "pays for 1 layers")
def counts_more_parameters_than_there_are(size, channels, max_parameters):
    if len(grow(size)) * 10 * channels * channels > max_parameters - 1:
        raise ValueError("too expensive")
    return grow(size)


@mutant("03.7", "No such stack", "size 5 with a budget for one layer")
def forgets_that_there_are_as_many_kernels_as_channels(size, channels, max_parameters):
    if size % 2 == 0 or len(grow(size)) * 9 * channels > max_parameters:
        raise ValueError("too expensive")
    return grow(size)


@mutant("03.7", "KeyError", "a ValueError", outcome="error")
def raises_another_error(size, channels, max_parameters):
    try:
        return affordable(size, channels, max_parameters, grow(size))
    except ValueError as error:
        raise KeyError("impossible") from error


@mutant("03.7", "at least 1")
def adds_a_layer_of_dilation_zero(size, channels, max_parameters):
    return [*affordable(size, channels, max_parameters, grow(size)), 0]


@mutant("03.7", "integer")
def divides_with_a_slash(size, channels, max_parameters):
    return [dilation / 1 for dilation in grow(size)]


@mutant("03.7", "list is wanted")
def returns_the_number_of_layers(size, channels, max_parameters):
    return len(grow(size))


@mutant("03.7", "end in a return")
def prints_the_stack(size, channels, max_parameters):
    str(grow(size))


# right answers, written in another way than the solution


def padding_by_trial(kernel_size, dilation=1):
    before = after = 0
    while before + after < dilation * (kernel_size - 1):
        before, after = (before, after + 1) if before == after else (before + 1, after)
    return [before, after]


def size_by_torch(image_size, kernel_size, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    import torch

    conv = torch.nn.Conv2d(1, 1, kernel_size, stride, padding, dilation)
    try:
        return list(conv(torch.zeros(1, 1, *image_size)).shape)[2:]
    except RuntimeError as error:
        raise ValueError("the kernel does not fit") from error


def size_by_arrays(image_size, kernel_size, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    arrays = map(np.array, (image_size, kernel_size, stride, padding, dilation))
    n, k, s, p, d = arrays
    free = n + 2 * p - d * (k - 1) - 1
    if (free < 0).any():
        raise ValueError("the kernel does not fit")
    return tuple(free // s + 1)


def cost_by_library(
    image_size, in_channels, out_channels, kernel_size, stride=1, padding=0, groups=1
):
    channels = in_channels, out_channels
    return (
        geometry.num_parameters(*channels, kernel_size, groups=groups),
        geometry.num_macs(
            image_size, *channels, kernel_size, stride=stride, padding=padding, groups=groups
        ),
    )


def transpose_by_matrix(image, kernel, stride=1):
    size = [(n - 1) * stride + k for n, k in zip(image.shape, kernel.shape, strict=True)]
    pixels = np.eye(size[0] * size[1]).reshape(-1, 1, *size)
    matrix = ops.conv2d(pixels, kernel[None, None], stride=stride).reshape(len(pixels), -1)
    return (matrix @ image.ravel()).reshape(size)


def transpose_by_torch(image, kernel, stride=1):
    import torch

    images, weight = torch.from_numpy(image)[None, None], torch.from_numpy(kernel)[None, None]
    return torch.nn.functional.conv_transpose2d(images, weight, stride=stride)[0, 0]


def field_by_poking(layers):
    """One pixel at a time through a one-dimensional stack of ones, with a wide rim around it."""
    rim = 4 + sum(p + d * k for k, _, p, d in layers) * math.prod(s for _, s, _, _ in layers)
    size = 3 * rim
    signals = np.eye(size)
    for k, s, p, d in layers:
        length = (signals.shape[1] + 2 * p - d * (k - 1) - 1) // s + 1
        padded = np.pad(signals, ((0, 0), (p, p + s)))
        signals = sum(padded[:, i * d : i * d + s * length : s] for i in range(k)) > 0
    middle = signals.shape[1] // 2
    one, two = (np.flatnonzero(signals[:, r]) for r in (middle, middle + 1))
    jump = two[0] - one[0]
    return one[-1] - one[0] + 1, jump, one[0] - middle * jump


def stack_by_search(size, channels, max_parameters):
    """From the large end: what must the last dilation be, so that the rest still fits?"""
    num_layers = max_parameters // (channels * (9 * channels + 1))
    if size % 2 == 0 or size > 3**num_layers:
        raise ValueError("impossible")
    dilations, missing = [], (size - 1) // 2
    while missing:
        dilation = (2 * missing + 1) // 3  # at most 2 (missing - dilation) + 1
        dilations.append(dilation)
        missing -= dilation
    return np.array(dilations[::-1])


ACCEPTED = [
    ("03.1", padding_by_trial),
    ("03.1", lambda kernel_size, dilation=1: geometry.padding_amounts(
        "same", kernel_size, dilation=dilation)[0]),
    ("03.2", size_by_torch),
    ("03.2", size_by_arrays),
    ("03.2", places()),
    ("03.3", cost_by_library),
    ("03.3", cost()),
    ("03.4", transpose_by_matrix),
    ("03.4", transpose_by_torch),
    ("03.4", stamped),
    ("03.5", lost),
    ("03.6", geometry.receptive_field),
    ("03.6", field()),
    ("03.6", field_by_poking),
    ("03.7", stack_by_search),
    ("03.7", lambda size, channels, budget: tuple(
        affordable(size, channels, budget, grow(size))[::-1])),
]  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_wrong_answer_is_rejected_and_its_cause_named(mutant):
    assert survives(mutant) == ""


@pytest.mark.parametrize("exercise_id", IDS)
def test_there_are_at_least_five_wrong_answers(exercise_id):
    assert sum(mutant.exercise_id == exercise_id for mutant in MUTANTS) >= 5


@pytest.mark.parametrize(
    ("exercise_id", "answer"), ACCEPTED, ids=lambda p: getattr(p, "__name__", p)
)
def test_right_answer_in_another_way_is_accepted(exercise_id, answer):
    verdict = examine(exercise_id, answer)
    assert verdict.outcome == "correct", words(verdict)
