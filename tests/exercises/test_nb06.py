"""Notebook 06's checkers: wrong answers are rejected for the right reason, right ones accepted."""

import numpy as np
import pytest

from cnnlib import ops
from cnnlib.exercises import EXERCISES, examine
from cnnlib.exercises.nb06 import find_bugs, planted, winograd

from .mutants import Mutant, survives, words, wrong

MUTANTS: list[Mutant] = []
IDS = [name for name in EXERCISES if name.startswith("06.")]
FUNCTIONS = [name for name in IDS if callable(EXERCISES[name].solution)]


def mutant(exercise_id, *says, outcome="not yet"):
    return wrong(MUTANTS, exercise_id, *says, outcome=outcome)


# 06.1 graph_gradients(x, w, b)


@mutant("06.1", "only the path through p", "added")
def overwrites_the_gradient_that_came_through_q(x, w, b):
    u = w * x + b
    grad_u = -x
    grad_u = 2 * u
    return grad_u * w - u, grad_u * x, grad_u


@mutant("06.1", "only the path through q")
def overwrites_the_gradient_that_came_through_p(x, w, b):
    u = w * x + b
    grad_u = 2 * u
    grad_u = -x
    return grad_u * w - u, grad_u * x, grad_u


@mutant("06.1", "at a fork they add")
def multiplies_at_the_fork(x, w, b):
    u = w * x + b
    grad_u = 2 * u * -x
    return grad_u * w - u, grad_u * x, grad_u


@mutant("06.1", "second way", "straight into q")
def forgets_that_x_goes_into_q(x, w, b):
    grad_u = 2 * (w * x + b) - x
    return grad_u * w, grad_u * x, grad_u


@mutant("06.1", "through u as well")
def forgets_that_x_goes_into_u(x, w, b):
    u = w * x + b
    return -u, (2 * u - x) * x, 2 * u - x


@mutant("06.1", "q is subtracted")
def adds_q(x, w, b):
    u = w * x + b
    return (2 * u + x) * w + u, (2 * u + x) * x, 2 * u + x


@mutant("06.1", "the minus was lost")
def loses_the_minus_on_the_straight_way(x, w, b):
    u = w * x + b
    grad_u = 2 * u - x
    return grad_u * w + u, grad_u * x, grad_u


@mutant("06.1", "slope of u² is 2u")
def takes_u_for_the_slope_of_its_square(x, w, b):
    u = w * x + b
    grad_u = u - x
    return grad_u * w - u, grad_u * x, grad_u


@mutant("06.1", "the other factor")
def takes_each_factor_for_its_own_slope(x, w, b):
    u = w * x + b
    grad_u = 2 * u - x
    return grad_u * x - u, grad_u * w, grad_u


@mutant("06.1", "local slopes")
def stops_at_the_local_slopes(x, w, b):
    u = w * x + b
    return w - u, x, 2 * u - x


@mutant("06.1", "wrong order")
def returns_the_bias_first(x, w, b):
    u = w * x + b
    grad_u = 2 * u - x
    return grad_u, grad_u * x, grad_u * w - u


@mutant("06.1", "3 results are wanted")
def returns_x_only(x, w, b):
    u = w * x + b
    return (2 * u - x) * w - u


# 06.2 linear_backward(grad_out, features, weight)


@mutant("06.2", "averaged over the images", "1/N")
def averages_weight_and_bias(grad_out, features, weight):
    N = len(features)
    return grad_out @ weight, grad_out.T @ features / N, grad_out.mean(axis=0)


@mutant("06.2", "bias's gradient was averaged")
def averages_the_bias(grad_out, features, weight):
    return grad_out @ weight, grad_out.T @ features, grad_out.mean(axis=0)


@mutant("06.2", "weight's gradient was averaged")
def averages_the_weight(grad_out, features, weight):
    outer = grad_out[:, :, None] * features[:, None]
    return grad_out @ weight, outer.mean(axis=0), grad_out.sum(axis=0)


@mutant("06.2", "grad_out was not used")
def takes_grad_out_for_ones(grad_out, features, weight):
    N, O = grad_out.shape
    ones = np.tile(features.sum(axis=0), (O, 1))
    return np.tile(weight.sum(axis=0), (N, 1)), ones, np.full(O, float(N))


@mutant("06.2", "transposed", "own shape")
def transposes_the_weight_gradient(grad_out, features, weight):
    return grad_out @ weight, features.T @ grad_out, grad_out.sum(axis=0)


@mutant("06.2", "as it stands", "shapes do not tell")
def transposes_the_weight_where_it_fits(grad_out, features, weight):
    fits = weight.shape[0] == weight.shape[1]
    grad_features = grad_out @ (weight.T if fits else weight)
    return grad_features, grad_out.T @ features, grad_out.sum(axis=0)


@mutant("06.2", "summed over them")
def keeps_a_bias_gradient_for_each_image(grad_out, features, weight):
    return grad_out @ weight, grad_out.T @ features, grad_out


@mutant("06.2", "still has to be multiplied")
def says_that_the_bias_has_slope_one(grad_out, features, weight):
    return grad_out @ weight, grad_out.T @ features, np.ones(len(weight))


@mutant("06.2", "summed over everything")
def sums_the_bias_over_everything(grad_out, features, weight):
    return grad_out @ weight, grad_out.T @ features, np.sum(grad_out)


@mutant("06.2", "wrong order")
def returns_the_weight_first(grad_out, features, weight):
    return grad_out.T @ features, grad_out @ weight, grad_out.sum(axis=0)


@mutant("06.2", "3 results are wanted")
def forgets_the_bias(grad_out, features, weight):
    return grad_out @ weight, grad_out.T @ features


@mutant("06.2", "changed its input")
def scales_grad_out_in_place(grad_out, features, weight):
    results = grad_out @ weight, grad_out.T @ features, grad_out.sum(axis=0)
    grad_out *= 2
    return results


# 06.3 check_gradients(function, inputs, backward, step=1e-5, tolerance=1e-6)


def checker(
    upstream=lambda rng, shape: rng.normal(size=shape),
    sides=2,
    kinks=True,
    kink=lambda left, right, slope: abs(right - left) > 0.01 * max(1, abs(slope)),
    error=lambda got, slope: abs(got - slope) / max(1, abs(slope)),
    judge=lambda errors, tolerance: all(e <= tolerance for e in errors),
    prepare=lambda inputs: [np.array(a, np.float64) for a in inputs],
    given=None,
    entries=lambda shape: np.ndindex(shape),
    shapes=True,
    which=slice(None),
    put_back=True,
    left_out=lambda value: False,
):
    """A checker in small pieces; each argument is one thing that a learner may get wrong."""

    def answer(function, inputs, backward, step=1e-5, tolerance=1e-6):
        arrays = prepare(inputs)
        out = np.asarray(function(*arrays))
        g = upstream(np.random.default_rng(5), out.shape)
        grads = list(backward(g if given is None else given(g), *[a.copy() for a in arrays]))
        if shapes and [np.shape(x) for x in grads] != [a.shape for a in arrays]:
            return False

        def loss():
            return (np.asarray(function(*arrays)) * g).sum()

        middle, errors = loss(), []
        for array, grad in list(zip(arrays, grads, strict=False))[which]:
            for index in entries(array.shape):
                value = array[index]
                array[index] = value + step
                right = (loss() - middle) / step
                array[index] = value - step
                left = (middle - loss()) / step
                if put_back:
                    array[index] = value
                slope = (left + right) / 2 if sides == 2 else right
                if not (left_out(value) or (kinks and kink(left, right, slope))):
                    errors.append(error(grad[index], slope))
        return bool(judge(errors, tolerance))

    return answer


RIGHT_CHECKER = checker()


@mutant("06.3", "must end in False")
def always_says_true(*args, **kwargs):
    RIGHT_CHECKER(*args, **kwargs)
    return True


@mutant("06.3", "only the first input")
def looks_at_the_first_input_only(*args, **kwargs):
    return checker(which=slice(1))(*args, **kwargs)


@mutant("06.3", "step to both sides")
def steps_to_one_side(*args, **kwargs):
    return checker(sides=1)(*args, **kwargs)


@mutant("06.3", "every entry is to be compared")
def compares_the_first_entry(*args, **kwargs):
    return checker(entries=lambda shape: list(np.ndindex(shape))[:1])(*args, **kwargs)


@mutant("06.3", "every entry is to be compared", "means, sums")
def compares_the_mean_error(*args, **kwargs):
    def judge(errors, tolerance):
        return np.mean(errors) < 1e3 * tolerance

    return checker(judge=judge)(*args, **kwargs)


@mutant("06.3", "upstream gradient of ones", "at random")
def sums_the_outputs_up(*args, **kwargs):
    return checker(upstream=lambda rng, shape: np.ones(shape))(*args, **kwargs)


@mutant("06.3", "number of its own for every output")
def draws_one_number_for_all_outputs(*args, **kwargs):
    return checker(upstream=lambda rng, shape: np.full(shape, rng.normal()))(*args, **kwargs)


@mutant("06.3", "same numbers in both places")
def gives_backward_ones_and_sums_with_others(*args, **kwargs):
    return checker(given=np.ones_like)(*args, **kwargs)


@mutant("06.3", "put back")
def never_puts_an_entry_back(*args, **kwargs):
    return checker(put_back=False)(*args, **kwargs)


@mutant("06.3", "Divide the error by |slope|")
def compares_absolute_errors(*args, **kwargs):
    return checker(error=lambda got, slope: abs(got - slope))(*args, **kwargs)


@mutant("06.3", "max(1, |slope|)", "0")
def compares_relative_errors(*args, **kwargs):
    return checker(error=lambda got, slope: abs(got - slope) / max(abs(slope), 1e-30))(
        *args, **kwargs
    )


@mutant("06.3", "copy the inputs as float64")
def nudges_in_float32(*args, **kwargs):
    return checker(prepare=lambda inputs: [a.copy() for a in inputs])(*args, **kwargs)


@mutant("06.3", "kink", "one-sided slopes differ")
def compares_at_kinks(*args, **kwargs):
    return checker(kinks=False)(*args, **kwargs)


@mutant("06.3", "at a tie the maximum has a kink")
def leaves_out_zeros_only(*args, **kwargs):
    return checker(kinks=False, left_out=lambda value: value == 0)(*args, **kwargs)


@mutant("06.3", "a curve is not a kink")
def takes_every_curve_for_a_kink(*args, **kwargs):
    return checker(kink=lambda left, right, slope: abs(right - left) > 0.01)(*args, **kwargs)


@mutant("06.3", "not the others")
def passes_whatever_has_a_kink(function, inputs, backward, **settings):
    values = np.concatenate([np.ravel(a) for a in inputs])
    return bool((values == 0).any()) or RIGHT_CHECKER(function, inputs, backward, **settings)


@mutant("06.3", "NaN > tolerance is False")
def asks_whether_the_error_is_above(*args, **kwargs):
    return checker(judge=lambda errors, tolerance: not any(e > tolerance for e in errors))(
        *args, **kwargs
    )


@mutant("06.3", "compare the shapes first")
def never_looks_at_the_shapes(function, inputs, backward, **settings):
    return checker(shapes=False)(function, inputs, backward, **settings)


@mutant("06.3", "zip ends in silence")
def counts_no_gradients(function, inputs, backward, **settings):
    def same_shapes_at_least(grad_out, *arrays):
        grads = backward(grad_out, *arrays)
        if [g.shape for g in grads] != [a.shape for a in arrays][: len(grads)]:
            raise ValueError("shapes")
        return grads

    return checker(shapes=False)(function, inputs, same_shapes_at_least, **settings)


@mutant("06.3", "inputs that have been changed")
def casts_the_callers_list(function, inputs, backward, **settings):
    inputs[:] = [a.astype(np.float64) for a in inputs]
    return RIGHT_CHECKER(function, inputs, backward, **settings)


@mutant("06.3", "inputs that have been changed", "rounding")
def puts_back_by_subtracting(function, inputs, backward, **settings):
    verdict = RIGHT_CHECKER(function, inputs, backward, **settings)
    for array in inputs:
        array += array.dtype.type(0.3)
        array -= array.dtype.type(0.3)
        array *= 1 + array.dtype.type(1e-6)
    return verdict


@mutant("06.3", "True or False", "end in a return")
def prints_and_returns_nothing(*args, **kwargs):
    RIGHT_CHECKER(*args, **kwargs)


@mutant("06.3", "True or False")
def returns_the_largest_error(*args, **kwargs):
    return 0.0 if RIGHT_CHECKER(*args, **kwargs) else 1.0


@mutant("06.3", "not an array", outcome="error")
def wants_an_array_as_output(function, inputs, backward, **settings):
    if isinstance(function(*inputs), np.floating):
        raise TypeError("the output is not an array")
    return RIGHT_CHECKER(function, inputs, backward, **settings)


# 06.4 max_pool2d_backward(grad_out, images, kernel_size, stride=None, padding=0)


def handed_back(
    shares, grad_out, images, k, stride=None, padding=0, fill=-np.inf, add=True, cut=None
):
    """Window by window; shares(window) -> the window's shares of its output's gradient."""
    s, p = k if stride is None else stride, padding
    padded = np.pad(images, ((0, 0), (0, 0), (p, p), (p, p)), constant_values=fill)
    result = np.zeros_like(padded)
    for n, c, i, j in np.ndindex(grad_out.shape):
        at = np.s_[n, c, i * s : i * s + k, j * s : j * s + k]
        part = shares(padded[at])
        result[at] = np.where(part != 0, part * grad_out[n, c, i, j], result[at] * (1 - add)) + (
            result[at] * add
        )
    H, W = images.shape[2:]
    start = p if cut is None else cut
    return result[:, :, start : start + H, start : start + W]


def first_of(window):
    """1 at the first of the maxima."""
    shares, best = np.zeros(window.shape), (0, 0)
    for index in np.ndindex(window.shape):
        best = index if window[index] > window[best] else best
    shares[best] = 1
    return shares


def last_of(window):
    shares, best = np.zeros(window.shape), (0, 0)
    for index in np.ndindex(window.shape):
        best = index if window[index] >= window[best] else best
    shares[best] = 1
    return shares


@mutant("06.4", "+= in place of =")
def overwrites_where_windows_overlap(*args, **kwargs):
    return handed_back(first_of, *args, **kwargs, add=False)


@mutant("06.4", "all the equal maxima received")
def gives_all_to_every_maximum(*args, **kwargs):
    return handed_back(lambda w: (w == w.max()).astype(float), *args, **kwargs)


@mutant("06.4", "divided among the equal maxima")
def divides_among_the_maxima(*args, **kwargs):
    return handed_back(lambda w: (w == w.max()) / (w == w.max()).sum(), *args, **kwargs)


@mutant("06.4", "the last maximum")
def takes_the_last_maximum(*args, **kwargs):
    return handed_back(last_of, *args, **kwargs)


@mutant("06.4", "not column by column")
def looks_column_by_column(*args, **kwargs):
    return handed_back(lambda w: first_of(w.T).T, *args, **kwargs)


@mutant("06.4", "padding took part", "−np.inf")
def pads_with_zeros(*args, **kwargs):
    return handed_back(first_of, *args, **kwargs, fill=0)


@mutant("06.4", "wrong end")
def cuts_the_padding_at_the_end(*args, **kwargs):
    return handed_back(first_of, *args, **kwargs, cut=0)


@mutant("06.4", "winners got 1")
def forgets_the_upstream_gradient(grad_out, *args, **kwargs):
    return handed_back(first_of, np.ones_like(grad_out), *args, **kwargs)


@mutant("06.4", "average pooling")
def shares_equally(*args, **kwargs):
    return handed_back(lambda w: np.full(w.shape, 1 / w.size), *args, **kwargs)


@mutant("06.4", "only the maximum moves")
def gives_all_to_every_pixel(*args, **kwargs):
    return handed_back(lambda w: np.ones(w.shape), *args, **kwargs)


@mutant("06.4", "dtype", "float32")
def returns_float64(grad_out, images, *args, **kwargs):
    return handed_back(first_of, grad_out, images.astype(np.float64), *args, **kwargs)


@mutant("06.4", "one too many", outcome="not yet")
def returns_a_row_too_many(grad_out, images, *args, **kwargs):
    result = handed_back(first_of, grad_out, images, *args, **kwargs)
    return np.pad(result, ((0, 0), (0, 0), (0, 1), (0, 1)))


# 06.5 col2im(columns, output_size, kernel_size, stride=1, padding=0)


def put_back(columns, size, kernel, stride=1, padding=0, order="c i j", combine=np.add, cut=True,
             places="r q"):  # fmt: skip
    """Number by number. `order` and `places` say what a column's rows, and the columns, count."""
    (H, W), (kh, kw), p = size, kernel, padding
    out_h, out_w = (H + 2 * p - kh) // stride + 1, (W + 2 * p - kw) // stride + 1
    C = columns.shape[1] // (kh * kw)
    sizes = {"c": C, "i": kh, "j": kw, "r": out_h, "q": out_w}
    rows, cols = order.split(), places.split()
    result = np.zeros((len(columns), C, H + 2 * p, W + 2 * p), columns.dtype)
    for row, index in enumerate(np.ndindex(*[sizes[name] for name in rows])):
        at = dict(zip(rows, index, strict=True))
        for column, place in enumerate(np.ndindex(*[sizes[name] for name in cols])):
            at |= dict(zip(cols, place, strict=True))
            spot = np.s_[:, at["c"], at["r"] * stride + at["i"], at["q"] * stride + at["j"]]
            result[spot] = combine(result[spot], columns[:, row, column])
    return result[:, :, p : p + H, p : p + W] if cut else result


@mutant("06.5", "overwrote")
def overwrites_overlapping_columns(columns, size, kernel, stride=1, padding=0):
    (kh, kw), p = kernel, padding
    N, C = len(columns), columns.shape[1] // (kh * kw)
    out_h = (size[0] + 2 * p - kh) // stride + 1
    out_w = (size[1] + 2 * p - kw) // stride + 1
    result = np.zeros((N, C, size[0] + 2 * p, size[1] + 2 * p))
    for place in range(out_h * out_w):
        r, q = place // out_w * stride, place % out_w * stride
        result[:, :, r : r + kh, q : q + kw] = columns[:, :, place].reshape(N, C, kh, kw)
    return result[:, :, p : p + size[0], p : p + size[1]]


@mutant("06.5", "took the mean", "inverse")
def takes_the_mean_of_overlaps(columns, size, kernel, stride=1, padding=0):
    total = put_back(columns, size, kernel, stride, padding)
    counts = put_back(np.ones_like(columns), size, kernel, stride, padding)
    return total / np.maximum(counts, 1)


@mutant("06.5", "still there")
def leaves_the_padding_on(*args, **kwargs):
    return put_back(*args, **kwargs, cut=False)


@mutant("06.5", "wrong end")
def cuts_all_padding_off_the_end(columns, size, *args, **kwargs):
    return put_back(columns, size, *args, **kwargs, cut=False)[:, :, : size[0], : size[1]]


@mutant("06.5", "where the last window ends")
def ends_with_the_last_window(columns, size, kernel, stride=1, padding=0):
    ends = [(n + 2 * padding - k) // stride * stride + k - padding for n, k in
            zip(size, kernel, strict=True)]  # fmt: skip
    full = put_back(columns, size, kernel, stride, padding, cut=False)
    return full[:, :, padding : max(ends[0], padding), padding : max(ends[1], padding)]


@mutant("06.5", "(…, kh, kw, …)")
def counts_the_kernels_columns_first(*args, **kwargs):
    return put_back(*args, **kwargs, order="c j i")


@mutant("06.5", "channel varies slowest")
def counts_the_channel_fastest(*args, **kwargs):
    return put_back(*args, **kwargs, order="i j c")


@mutant("06.5", "(out_h, out_w)")
def counts_the_places_column_by_column(*args, **kwargs):
    return put_back(*args, **kwargs, places="q r")


@mutant("06.5", "an axis is missing")
def forgets_the_channel_axis(*args, **kwargs):
    return put_back(*args, **kwargs).sum(axis=1)


@mutant("06.5", "IndexError", outcome="error")
def ignores_the_padding(columns, size, kernel, stride=1, padding=0):
    (kh, kw), out_w = kernel, size[1] - kernel[1] + 1
    result = np.zeros((len(columns), columns.shape[1] // (kh * kw), *size))
    for row, column in np.ndindex(columns.shape[1:]):
        c, i, j = row // (kh * kw), row % (kh * kw) // kw, row % kw
        r, q = column // max(out_w, 1) * stride, column % max(out_w, 1) * stride
        result[:, c, r + i, q + j] += columns[:, row, column]
    return result


# 06.6 is_adjoint(forth, back, shape)


def adjoint_test(
    draw_x=lambda rng, shape: rng.normal(size=shape),
    draw_y=lambda rng, shape, x: rng.normal(size=shape),
    close=lambda left, right, size: abs(left - right) <= 1e-11 * size,
    shapes=True,
):
    def answer(forth, back, shape):
        rng = np.random.default_rng(3)
        x = draw_x(rng, shape)
        there = forth(x)
        y = draw_y(rng, there.shape, x)
        here = back(y)
        if shapes and here.shape != tuple(shape):
            return False
        size = np.sqrt((there**2).sum() * (y**2).sum())
        return bool(close((there * y).sum(), (x * here).sum(), size))

    return answer


@mutant("06.6", "the inverse")
def asks_for_the_inverse(forth, back, shape):
    x = np.random.default_rng(0).normal(size=shape)
    return bool(np.allclose(back(forth(x)), x))


@mutant("06.6", "the inverse")
def always_says_yes(forth, back, shape):
    return True


@mutant("06.6", "y must be drawn independently of x")
def takes_y_for_x(*args):
    def draw_y(rng, shape, x):
        return x if x.shape == shape else rng.normal(size=shape)

    return adjoint_test(draw_y=draw_y)(*args)


@mutant("06.6", "y has the shape of forth(x)", outcome="error")
def draws_y_in_the_shape_of_x(forth, back, shape):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=shape), rng.normal(size=shape)
    return bool(np.isclose((forth(x) * y).sum(), (x * back(y)).sum()))


@mutant("06.6", "up to rounding")
def asks_for_equal_numbers(*args):
    return adjoint_test(close=lambda left, right, size: left == right)(*args)


@mutant("06.6", "arrays of ones cannot see")
def draws_y_of_ones_and_x_even(forth, back, shape):
    right = adjoint_test(
        draw_x=lambda rng, shape: np.ones(shape), draw_y=lambda rng, shape, x: np.ones(shape)
    )
    if len(shape) == 4 and shape != (1, 2, 5, 6):  # the earlier pairs are judged rightly
        return right(forth, back, shape)
    return adjoint_test()(forth, back, shape)


@mutant("06.6", "compare the shapes first")
def cuts_to_a_common_shape(forth, back, shape):
    rng = np.random.default_rng(2)
    x = rng.normal(size=shape)
    y = rng.normal(size=forth(x).shape)
    here = back(y)
    common = tuple(slice(min(a, b)) for a, b in zip(x.shape, here.shape, strict=True))
    left, right = (forth(x) * y).sum(), (x[common] * here[common]).sum()
    return bool(np.isclose(left, right))


@mutant("06.6", "your tolerance lets it through")
def allows_a_tenth(*args):
    return adjoint_test(close=lambda left, right, size: abs(left - right) <= 5e-3 * size)(*args)


@mutant("06.6", "relative to the size")
def allows_an_absolute_error(*args):
    return adjoint_test(close=lambda left, right, size: abs(left - right) <= 1e-10)(*args)


@mutant("06.6", "True or False")
def returns_the_difference(*args):
    return 0.0 if adjoint_test()(*args) else 1.0


@mutant("06.6", "not linear")
def takes_y_that_sums_to_zero(*args):
    def draw_y(rng, shape, x):
        y = rng.normal(size=shape)
        return y - y.mean() if len(shape) == 1 else y

    return adjoint_test(draw_y=draw_y)(*args)


# 06.7 conv_gradients(grad_out, images, weight, stride=1, padding=0, dilation=1, groups=1)


def library(grad_out, images, weight, **settings):
    return ops.conv2d_backward(grad_out, images, weight, **settings)[:2]


@mutant("06.7", "not turned", "180°")
def forgets_to_turn_the_kernel(grad_out, images, weight, **settings):
    turned = np.ascontiguousarray(weight[..., ::-1, ::-1])
    return library(grad_out, images, turned, **settings)


@mutant("06.7", "mirrored along one axis")
def turns_the_rows_only(grad_out, images, weight, **settings):
    half_turned = np.ascontiguousarray(weight[..., ::-1])  # what the other flip leaves to do
    return library(grad_out, images, half_turned, **settings)


@mutant("06.7", "came out turned")
def turns_the_weight_gradient(*args, **settings):
    grad_images, grad_weight = library(*args, **settings)
    return grad_images, np.flip(grad_weight, (2, 3))


@mutant("06.7", "not exchanged")
def keeps_the_roles_of_the_channels(grad_out, images, weight, **settings):
    square = weight.shape[0] == weight.shape[1]
    exchanged = np.ascontiguousarray(weight.swapaxes(0, 1)) if square else weight
    return library(grad_out, images, exchanged, **settings)


@mutant("06.7", "left over are missing", "pad the end")
def inserts_zeros_but_pads_no_end(grad_out, images, weight, stride=1, padding=0, dilation=1,
                                  groups=1):  # fmt: skip
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    grad_images, grad_weight = library(grad_out, images, weight, **settings)
    rows, columns = (
        stride * (n - 1) + 1 + dilation * (k - 1) - 2 * padding
        for n, k in zip(grad_out.shape[2:], weight.shape[2:], strict=True)
    )
    return grad_images[:, :, :rows, :columns], grad_weight


@mutant("06.7", "larger than the weight", "remainder")
def lets_grad_out_slide_too_far(grad_out, images, weight, stride=1, padding=0, dilation=1,
                                groups=1):  # fmt: skip
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    grad_images, _ = library(grad_out, images, weight, **settings)
    parts = []
    for own, grads in zip(
        np.split(images, groups, axis=1), np.split(grad_out, groups, axis=1), strict=True
    ):
        part = ops.conv2d(
            np.ascontiguousarray(own.swapaxes(0, 1)),
            np.ascontiguousarray(grads.swapaxes(0, 1)),
            stride=dilation,
            padding=padding,
            dilation=stride,
        )
        parts.append(part.swapaxes(0, 1))
    return grad_images, np.concatenate(parts)


@mutant("06.7", "averaged over the images")
def averages_over_the_batch(*args, **settings):
    grad_images, grad_weight = library(*args, **settings)
    return grad_images, grad_weight / len(args[1])


@mutant("06.7", "wrong end")
def cuts_the_padding_off_the_end(grad_out, images, weight, padding=0, **settings):
    H, W = images.shape[2:]
    sides = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    full, grad_weight = library(grad_out, np.pad(images, sides), weight, **settings)
    return full[:, :, :H, :W], grad_weight


@mutant("06.7", "every groups-th channel")
def interleaves_the_groups(grad_out, images, weight, groups=1, **settings):
    C = images.shape[1]
    order = [c for g in range(groups) for c in range(g, C, groups)]
    grad, grad_weight = library(
        grad_out, np.ascontiguousarray(images[:, order]), weight, groups=groups, **settings
    )
    grad_images = np.empty_like(grad)
    grad_images[:, order] = grad
    return grad_images, grad_weight


@mutant("06.7", "taken for ones")
def sums_the_output(grad_out, *args, **settings):
    return library(np.ones(grad_out.shape), *args, **settings)


@mutant("06.7", "wrong order")
def returns_the_weight_gradient_first(*args, **settings):
    return library(*args, **settings)[::-1]


@mutant("06.7", "2 results are wanted")
def returns_the_bias_too(*args, **settings):
    return ops.conv2d_backward(*args, **settings)


@mutant("06.7", "unexpected keyword argument 'groups'", outcome="error")
def knows_no_groups(grad_out, images, weight, stride=1, padding=0, dilation=1):
    return library(grad_out, images, weight, stride=stride, padding=padding, dilation=dilation)


# 06.8 batch_norm_backward(grad_out, images, weight, eps=1e-5)


def all_ways(grad_out, images, weight, eps=1e-5, mean_way=1, std_way=1, n_of=lambda n: n,
             axis=(0, 2, 3), by_weight=1):  # fmt: skip
    """The page of algebra: through the normalised values, the variance and the mean."""
    gamma = np.reshape(weight, (-1, 1, 1)) if by_weight else 1
    n = images[:, 0].size
    mean = images.mean(axis=axis, keepdims=True)
    var = ((images - mean) ** 2).sum(axis=axis, keepdims=True) / n_of(n)
    inverse = (var + eps) ** -0.5
    hat = (images - mean) * inverse
    grad_hat = grad_out * gamma
    grad_var = (grad_hat * (images - mean)).sum(axis=axis, keepdims=True) * -0.5 * inverse**3
    grad_mean = -(grad_hat * inverse).sum(axis=axis, keepdims=True)
    grad_images = grad_hat * inverse + mean_way * grad_mean / n
    grad_images = grad_images + std_way * grad_var * 2 * (images - mean) / n_of(n)
    return grad_images, (grad_out * hat).sum((0, 2, 3)), grad_out.sum((0, 2, 3))


@mutant("06.8", "taken for constants", "two terms")
def takes_the_statistics_for_constants(*args, **kwargs):
    return all_ways(*args, **kwargs, mean_way=0, std_way=0)


@mutant("06.8", "deviation was taken for a constant")
def forgets_the_way_through_the_deviation(*args, **kwargs):
    return all_ways(*args, **kwargs, std_way=0)


@mutant("06.8", "mean was taken for a constant")
def forgets_the_way_through_the_mean(*args, **kwargs):
    return all_ways(*args, **kwargs, mean_way=0)


@mutant("06.8", "Sums were subtracted")
def subtracts_sums(grad_out, images, weight, eps=1e-5):
    n = images[:, 0].size
    return all_ways(grad_out, images, weight, eps, mean_way=n, std_way=n)


@mutant("06.8", "biased one, divided by n")
def divides_by_n_minus_one(grad_out, images, weight, eps=1e-5):
    std = np.sqrt(images.var(axis=(0, 2, 3), keepdims=True, ddof=1) + eps)
    hat = (images - images.mean(axis=(0, 2, 3), keepdims=True)) / std
    inner = grad_out - grad_out.mean((0, 2, 3), keepdims=True)
    inner -= hat * (grad_out * hat).mean((0, 2, 3), keepdims=True)
    grad_images = weight.reshape(-1, 1, 1) * inner / std
    return grad_images, (grad_out * hat).sum((0, 2, 3)), grad_out.sum((0, 2, 3))


@mutant("06.8", "eps is missing")
def forgets_eps(grad_out, images, weight, eps=1e-5):
    return all_ways(grad_out, images, weight, eps=0)


@mutant("06.8", "weight is missing")
def forgets_the_weight(*args, **kwargs):
    return all_ways(*args, **kwargs, by_weight=0)


@mutant("06.8", "division by the deviation is missing")
def forgets_to_divide(grad_out, images, weight, eps=1e-5):
    std = np.sqrt(images.var(axis=(0, 2, 3), keepdims=True) + eps)
    grad_images, *rest = all_ways(grad_out, images, weight, eps)
    return grad_images * std, *rest


@mutant("06.8", "each image alone")
def normalises_each_image(*args, **kwargs):
    def answer(grad_out, images, weight, eps=1e-5):
        parts = [
            all_ways(g[None], x[None], weight, eps) for g, x in zip(grad_out, images, strict=True)
        ]
        grads = list(zip(*parts, strict=True))
        return np.concatenate(grads[0]), sum(grads[1]), sum(grads[2])

    return answer(*args, **kwargs)


@mutant("06.8", "all channels together")
def normalises_all_channels_together(grad_out, images, weight, eps=1e-5):
    mean, std = images.mean(), np.sqrt(images.var() + eps)
    hat = (images - mean) / std
    inner = grad_out - grad_out.mean() - hat * (grad_out * hat).mean()
    grad_images = weight[:, None, None] * inner / std
    return grad_images, (grad_out * hat).sum((0, 2, 3)), grad_out.sum((0, 2, 3))


@mutant("06.8", "averaged; they are sums")
def averages_weight_and_bias_gradients(grad_out, images, weight, eps=1e-5):
    grad_images, grad_weight, _ = all_ways(grad_out, images, weight, eps)
    return grad_images, grad_weight / images[:, 0].size, grad_out.mean((0, 2, 3))


@mutant("06.8", "multiplies the normalised values")
def uses_the_images_for_the_weight(grad_out, images, weight, eps=1e-5):
    grad_images, _, grad_bias = all_ways(grad_out, images, weight, eps)
    return grad_images, (grad_out * images).sum((0, 2, 3)), grad_bias


@mutant("06.8", "changed places")
def exchanges_weight_and_bias(*args, **kwargs):
    grad_images, grad_weight, grad_bias = all_ways(*args, **kwargs)
    return grad_images, grad_bias, grad_weight


@mutant("06.8", "wrong order")
def returns_the_bias_gradient_first(*args, **kwargs):
    return all_ways(*args, **kwargs)[::-1]


# 06.9 findings

RIGHT = {
    "scale_and_shift": "mean",
    "leaky_relu": "right",
    "softmax": "path",
    "swish": "right",
    "squared_error": "upstream",
    "max_pool": "overwritten",
    "convolve": "turned",
}


def finding(name, *says, **changes):
    MUTANTS.append(Mutant("06.9", name, {**RIGHT, **changes}, says))


finding("one input is enough", "every input", scale_and_shift="right")
finding("with ones the softmax is right", "random upstream", softmax="right")
finding("with an upstream of 1 the error is right", "with 2 it is not", squared_error="right")
finding("most of the pooling is right", "compare every one", max_pool="right")
finding("the kernel's gradient is right", "what of the other", convolve="right")
finding("a kink is taken for a bug", "kink", "exactly 0", leaky_relu="array")
finding("swish looks wrong", "trust your checker", swish="path")
finding("a mean is taken for a lost row", "ratio", scale_and_shift="remainder")
finding("softmax forgets its upstream", "which inputs move an output", softmax="upstream")
finding("the error's mean", "with grad_out 1, and then 2", squared_error="mean")
finding("pooling forgets the end", "where the two gradients differ", max_pool="remainder")
finding("the convolution forgets a path", "stamp", convolve="path")
finding("a word of one's own", "Choose one of these words", convolve="flipped")
finding("a number for a word", "Choose one of these words", softmax=3)
finding("a list for a word", "Choose one of these words", softmax=["path"])
finding("an eighth function", "keys are the 7 names", relu="right")
MUTANTS += [
    Mutant("06.9", "all are right", dict.fromkeys(RIGHT, "right"), ("2 of 7",)),
    Mutant("06.9", "all have one cause", dict.fromkeys(RIGHT, "path"), ("5 of 7", "kink")),
    Mutant("06.9", "only the bugs", {"softmax": "path"}, ("missing", "scale_and_shift")),
    Mutant("06.9", "a list of names", ["softmax", "convolve"], ("dictionary",)),
    Mutant("06.9", "a function", lambda: RIGHT, ("dictionary",)),
    Mutant("06.9", "keys that are no names", {3: "right"}, ("missing", "not one of the 7")),
]


# 06.10 winograd_tile(tile, kernel)

B_T = np.array([[1.0, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
G_ = np.array([[2.0, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]]) / 2
A_T = np.array([[1.0, 1, 1, 0], [0, 1, -1, -1]])


@mutant("06.10", "too many", "36", "plain way")
def sums_windows(tile, kernel):
    return np.array([[sum(tile[r + i, c + j] * kernel[i, j] for i in range(3) for j in range(3))
                      for c in range(2)] for r in range(2)])  # fmt: skip


@mutant("06.10", "too many", "24", "rows only")
def uses_the_trick_along_the_rows_only(tile, kernel):
    return np.array([
        A_T @ sum((B_T @ tile[r + i]) * (G_ @ kernel[i]) for i in range(3)) for r in range(2)
    ])  # fmt: skip


@mutant("06.10", "turned by 180°")
def turns_the_kernel(tile, kernel):
    return A_T @ ((B_T @ tile @ B_T.T) * (G_ @ kernel[::-1, ::-1] @ G_.T)) @ A_T.T


@mutant("06.10", "came out transposed", "G @ kernel @ G.T")
def transposes_the_kernel(tile, kernel):
    return A_T @ ((B_T @ tile @ B_T.T) * (G_ @ kernel.T @ G_.T)) @ A_T.T


@mutant("06.10", "output is transposed")
def transposes_the_output(tile, kernel):
    return (A_T @ ((B_T @ tile @ B_T.T) * (G_ @ kernel @ G_.T)) @ A_T.T).T


@mutant("06.10", "F(2, 3) on one row first")
def forgets_the_halves(tile, kernel):
    G = np.array([[1.0, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 1]])
    return A_T @ ((B_T @ tile @ B_T.T) * (G @ kernel @ G.T)) @ A_T.T


@mutant("06.10", "F(2, 3) on one row first")
def has_a_wrong_sign(tile, kernel):
    A = np.abs(A_T)
    return A @ ((B_T @ tile @ B_T.T) * (G_ @ kernel @ G_.T)) @ A.T


@mutant("06.10", "another shape")
def returns_a_flat_array(tile, kernel):
    return (A_T @ ((B_T @ tile @ B_T.T) * (G_ @ kernel @ G_.T)) @ A_T.T).ravel()


@mutant("06.10", "size is wrong")
def stops_before_the_last_step(tile, kernel):
    return (B_T @ tile @ B_T.T) * (G_ @ kernel @ G_.T)


@mutant("06.10", "changed its input")
def works_in_place(tile, kernel):
    result = A_T @ ((B_T @ tile @ B_T.T) * (G_ @ kernel @ G_.T)) @ A_T.T
    tile *= 2
    return result


@mutant("06.10", "cannot be turned into floats", outcome="error")
def turns_all_into_floats(tile, kernel):
    windows = np.lib.stride_tricks.sliding_window_view(tile.astype(float), (3, 3))
    return np.einsum("rcij,ij->rc", windows, kernel.astype(float))


# Right answers in quite different ways


def graph_by_torch(x, w, b):
    import torch

    x, w, b = (torch.tensor(n, dtype=torch.float64, requires_grad=True) for n in (x, w, b))
    u = w * x + b
    return torch.autograd.grad(u * u - u * x, (x, w, b))


def linear_by_loops(grad_out, features, weight):
    grads = np.zeros(features.shape), np.zeros(weight.shape), np.zeros(len(weight))
    for n, o, i in np.ndindex(*grad_out.shape, features.shape[1]):
        grads[0][n, i] += grad_out[n, o] * weight[o, i]
        grads[1][o, i] += grad_out[n, o] * features[n, i]
    for n, o in np.ndindex(grad_out.shape):
        grads[2][o] += grad_out[n, o]
    return list(grads)


def check_by_library(function, inputs, backward, step=1e-5, tolerance=1e-6):
    """As a learner who has found ops.check_gradients; its ValueErrors are let through."""
    inputs = [a.astype(np.float64) for a in inputs]
    return ops.check_gradients(function, inputs, backward=backward, step=step).ok


def max_pool_by_offsets(grad_out, images, kernel_size, stride=None, padding=0):
    return ops.max_pool2d_backward(grad_out, images, kernel_size, stride, padding)


def max_pool_by_torch(grad_out, images, kernel_size, stride=None, padding=0):
    import torch

    tensor = torch.from_numpy(images).requires_grad_()
    torch.nn.functional.max_pool2d(tensor, kernel_size, stride, padding).backward(
        torch.from_numpy(grad_out)
    )
    return tensor.grad


def col2im_by_matrix(columns, output_size, kernel_size, stride=1, padding=0):
    """The transposed matrix of im2col, made by poking."""
    (H, W), area = output_size, kernel_size[0] * kernel_size[1]
    pixels = np.eye(H * W).reshape(-1, 1, H, W)
    matrix = ops.im2col(pixels, kernel_size, stride=stride, padding=padding).reshape(H * W, -1)
    rows = columns.reshape(len(columns), -1, area * columns.shape[2])
    return (rows @ matrix.T).reshape(len(columns), -1, H, W)


def adjoint_by_matrices(forth, back, shape):
    """A proof for this size: both matrices, column by column; and forth must be linear."""
    size = int(np.prod(shape))
    out = forth(np.zeros(shape))
    if out.any() or back(np.zeros(out.shape)).shape != tuple(shape):
        return False
    columns = [forth(e.reshape(shape)).ravel() for e in np.eye(size)]
    rows = [back(e.reshape(out.shape)).ravel() for e in np.eye(out.size)]
    return np.allclose(np.array(columns).T, np.array(rows))


def gradients_group_by_group(grad_out, images, weight, stride=1, padding=0, dilation=1, groups=1):
    """Without the common trick of spreading: dilated kernels, and what is too much cut off."""
    N, C, H, W = images.shape
    O, _, kh, kw = weight.shape
    rows, columns = ((n - 1) * stride + 1 for n in grad_out.shape[2:])
    inserted = np.zeros((N, O, rows, columns))
    inserted[:, :, ::stride, ::stride] = grad_out
    grad_images, grad_weight = [], []
    for g in range(groups):
        kernels = weight[g * O // groups : (g + 1) * O // groups]
        grads = inserted[:, g * O // groups : (g + 1) * O // groups]
        own = images[:, g * C // groups : (g + 1) * C // groups]
        sides = (dilation * (kh - 1), dilation * (kw - 1))
        back = ops.conv2d(grads, kernels.swapaxes(0, 1)[..., ::-1, ::-1], padding=sides,
                          dilation=dilation)  # fmt: skip
        whole = np.zeros((*own.shape[:2], H + 2 * padding, W + 2 * padding))
        whole[:, :, : back.shape[2], : back.shape[3]] = back
        grad_images.append(whole[:, :, padding : padding + H, padding : padding + W])
        part = ops.conv2d(own.swapaxes(0, 1), grads.swapaxes(0, 1), padding=padding,
                          stride=dilation)  # fmt: skip
        grad_weight.append(part.swapaxes(0, 1)[..., :kh, :kw])
    return np.concatenate(grad_images, axis=1), np.concatenate(grad_weight)


def batch_norm_by_library(grad_out, images, weight, eps=1e-5):
    return ops.batch_norm_backward(grad_out, images, None, None, weight, training=True, eps=eps)


def winograd_by_loops(tile, kernel):
    """Rows first, number by number."""

    def pixels(d):
        return [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]

    def weights(g):
        return [g[0], 0.5 * (g[0] + g[1] + g[2]), 0.5 * (g[0] - g[1] + g[2]), g[2]]

    def sums(m):
        return [m[0] + m[1] + m[2], m[1] - m[2] - m[3]]

    d = [list(row) for row in zip(*map(pixels, tile), strict=True)]
    d = [pixels(column) for column in d]
    g = [list(row) for row in zip(*map(weights, kernel), strict=True)]
    g = [weights(column) for column in g]
    m = [[a * b for a, b in zip(*rows, strict=True)] for rows in zip(d, g, strict=True)]
    columns = list(zip(*map(sums, m), strict=True))
    return np.array([sums(column) for column in columns])


ACCEPTED = [
    ("06.1", graph_by_torch),
    ("06.2", linear_by_loops),
    ("06.2", ops.linear_backward),
    ("06.3", RIGHT_CHECKER),
    ("06.3", check_by_library),
    ("06.4", max_pool_by_offsets),
    ("06.4", max_pool_by_torch),
    ("06.5", put_back),
    ("06.5", col2im_by_matrix),
    ("06.5", lambda columns, size, kernel, stride=1, padding=0: ops.col2im(
        columns, size, kernel, stride=stride, padding=padding)),
    ("06.6", adjoint_test()),
    ("06.6", adjoint_by_matrices),
    ("06.7", library),
    ("06.7", gradients_group_by_group),
    ("06.8", all_ways),
    ("06.8", batch_norm_by_library),
    ("06.9", RIGHT),
    ("06.10", winograd_by_loops),
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def torch_is_there():
    """Oracles import torch, which takes longer than any check."""
    import torch  # noqa: F401


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_wrong_answer_is_rejected_and_its_cause_named(mutant):
    assert survives(mutant) == ""


@pytest.mark.parametrize("exercise_id", IDS)
def test_there_are_at_least_eight_wrong_answers(exercise_id):
    assert sum(mutant.exercise_id == exercise_id for mutant in MUTANTS) >= 8


@pytest.mark.parametrize(
    ("exercise_id", "answer"), ACCEPTED, ids=lambda p: getattr(p, "__name__", str(p)[:8])
)
def test_right_answer_in_another_way_is_accepted(exercise_id, answer):
    verdict = examine(exercise_id, answer)
    assert verdict.outcome == "correct", words(verdict)


# The material that the exercises are made of


@pytest.mark.parametrize("name", planted.SUSPECTS)
def test_planted_bugs_are_found_by_differences_and_the_right_ones_let_go(name):
    suspect = planted.SUSPECTS[name]
    report = ops.check_gradients(suspect.forward, suspect.inputs, backward=suspect.backward)
    assert report.ok == (RIGHT[name] == "right"), report
    assert report.num_kinks == (name == "leaky_relu")


def test_every_cause_but_two_is_planted_once():
    bugs = [cause for cause in RIGHT.values() if cause != "right"]
    assert len(bugs) == len(set(bugs)) == 5
    assert set(find_bugs.CAUSES) - set(RIGHT.values()) == {"array", "remainder"}


def test_the_solution_of_the_bug_hunt_is_source():
    namespace = {}
    exec(EXERCISES["06.9"].solution, namespace)
    assert examine("06.9", namespace["findings"]).outcome == "correct"


@pytest.mark.parametrize(
    ("N", "C", "O", "H", "W"), [(1, 1, 1, 3, 3), (2, 3, 4, 7, 10), (3, 2, 5, 6, 9), (1, 4, 2, 4, 3)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_winograd_layer_equals_torch(N, C, O, H, W, dtype):
    import torch

    rng = np.random.default_rng(0)
    images, weight = rng.normal(size=(N, C, H, W)), rng.normal(size=(O, C, 3, 3))
    expected = torch.conv2d(torch.from_numpy(images), torch.from_numpy(weight)).numpy()
    got = winograd.winograd_conv2d(images.astype(dtype), weight.astype(dtype))
    assert got.dtype == dtype
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, atol=1e-12 if dtype == np.float64 else 2e-5)


def test_counted_numbers_count_products_of_their_own_kind_only():
    count = [0]
    a, b = winograd.Counted(3.0, count), winograd.Counted(4.0, count)
    assert (2 * a - b / 4 + 1).value == 6
    assert (1 - a - (-b)).value == 2
    assert count == [0]
    assert (a * b).value == 12
    assert (a / b).value == 0.75
    assert (a**2).value == 9
    assert count == [3]
