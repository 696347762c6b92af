"""check_gradients finds what is wrong, names it, and is not fooled by kinks, bends and sizes."""

import warnings

import numpy as np
import pytest

from cnnlib import ops


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def cube(values):
    return values**3


def cube_backward(grad_out, values):
    return 3 * values**2 * grad_out


def linear_backward(grad_out, features, weight, bias):
    return ops.linear_backward(grad_out, features, weight)


LINEAR = [normal(0, 4, 3), normal(1, 5, 3), normal(2, 5)]


@pytest.mark.parametrize(
    ("function", "inputs", "backward"),
    [
        (cube, [normal(0, 2, 3)], cube_backward),
        (ops.linear, LINEAR, linear_backward),
        (
            lambda x, w: ops.conv2d(x, w, stride=2, padding=1, dilation=2, groups=2),
            [normal(0, 2, 4, 6, 5), normal(1, 2, 2, 3, 2)],
            lambda g, x, w: ops.conv2d_backward(g, x, w, stride=2, padding=1, dilation=2, groups=2)[
                :2
            ],
        ),
        (
            lambda x: ops.max_pool2d(x, 3, 2, 1),
            [normal(0, 1, 2, 5, 6)],
            lambda g, x: ops.max_pool2d_backward(g, x, 3, 2, 1),
        ),
        (
            lambda x: ops.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
            [normal(0, 1, 2, 5, 6)],
            lambda g, x: ops.avg_pool2d_backward(g, x.shape, 3, 2, 1, count_include_pad=False),
        ),
        (ops.relu, [normal(0, 3, 4)], ops.relu_backward),
        (
            lambda images, weight, bias: ops.batch_norm(
                images, None, None, weight, bias, training=True
            ),
            [normal(0, 3, 2, 4, 4), normal(1, 2), normal(2, 2)],
            lambda g, images, weight, bias: ops.batch_norm_backward(
                g, images, None, None, weight, training=True
            ),
        ),
        (
            lambda logits: ops.softmax_cross_entropy(logits, np.array([0, 2, 1])),
            [20 * normal(0, 3, 4)],
            lambda g, x: ops.softmax_cross_entropy_backward(g, x, np.array([0, 2, 1])),
        ),
    ],
)
def test_right_gradients_agree(function, inputs, backward):
    report = ops.check_gradients(function, inputs, backward=backward)
    assert report.ok, report
    assert report.worst_error < 1e-7
    assert (report.num_compared, report.num_kinks) == (sum(x.size for x in inputs), 0)
    assert repr(report) == (
        f"gradients agree: {report.num_compared} entries compared, 0 at a kink left out"
    )


@pytest.mark.parametrize("position", range(3))
@pytest.mark.parametrize(
    "plant", [lambda g: g.__setitem__(-1, g[-1] + 1e-3), lambda g: g.__setitem__(-1, -g[-1])]
)
def test_a_planted_bug_is_found_and_named(position, plant):
    seen = {}

    def backward(*arguments):
        grads = list(linear_backward(*arguments))
        grads[position] = grads[position].copy()
        seen["right"] = [grad.copy() for grad in grads]
        plant(grads[position].reshape(-1))
        seen["wrong"] = grads
        return grads

    report = ops.check_gradients(ops.linear, LINEAR, backward=backward)
    assert not report.ok
    assert report.worst_input == ["features", "weight", "bias"][position]
    last = tuple(size - 1 for size in LINEAR[position].shape)
    assert report.worst_index == last
    assert report.expected == pytest.approx(seen["right"][position][last], abs=1e-8)
    assert report.got == pytest.approx(seen["wrong"][position][last])
    assert report.worst_error == pytest.approx(
        abs(report.got - report.expected) / max(1, abs(report.expected))
    )
    index = ", ".join(map(str, last))
    assert repr(report).startswith(f"gradients differ, most in {report.worst_input}[{index}]: the")
    assert f"says {report.got:.6g}, differences say {report.expected:.6g}" in repr(report)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda grad_out, values: 3 * values**2,  # upstream forgotten
        lambda grad_out, values: 3 * values**2 * grad_out.mean(),
        lambda grad_out, values: 3 * values * grad_out,
        lambda grad_out, values: cube_backward(grad_out, values) * (1 + 1e-5),
        lambda grad_out, values: np.zeros_like(values),
        lambda grad_out, values: np.full_like(values, np.nan),
        lambda grad_out, values: np.full_like(values, np.inf),
    ],
)
def test_wrong_gradients_differ(wrong):
    assert not ops.check_gradients(cube, [normal(0, 3, 2)], backward=wrong).ok


def test_one_gradient_that_is_not_a_number_is_the_worst():
    def backward(grad_out, values):
        grad = 2 * cube_backward(grad_out, values)
        grad[1, 0] = np.nan
        return grad

    report = ops.check_gradients(cube, [normal(0, 3, 2)], backward=backward)
    assert not report.ok
    assert report.worst_index == (1, 0)
    assert np.isnan(report.got)
    assert np.isnan(report.worst_error)


def test_a_function_that_is_not_a_number_is_not_ok():
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("error")  # of the checker's own there should be none
        report = ops.check_gradients(
            np.sqrt, [np.array([4.0, -1.0])], backward=lambda g, x: g / (2 * np.sqrt(x))
        )
    assert not report.ok
    assert np.isnan(report.expected)


def test_an_infinite_output_is_not_ok():
    with np.errstate(over="ignore"):
        report = ops.check_gradients(
            np.exp, [np.array([0.0, 1000.0])], backward=lambda g, x: g * np.exp(x)
        )
    assert not report.ok


def test_infinite_outputs_bring_no_warning_of_the_checkers_own():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = ops.check_gradients(
            lambda x: np.where(x > 1, np.inf, x), [np.array([0.0, 2.0])], backward=lambda g, x: g
        )
    assert not report.ok


def test_a_jump_is_not_a_kink():
    # Ten times closer its slope is ten times steeper: there is no gradient to be right about.
    report = ops.check_gradients(
        lambda x: np.where(x > 0, 1.0, 0.0), [np.array([0.0, 1.0])], backward=lambda g, x: 0 * g
    )
    assert not report.ok
    assert report.worst_index == (0,)


def test_kinks_of_all_inputs_are_counted():
    report = ops.check_gradients(
        lambda a, b: ops.relu(a) + ops.relu(b),
        [np.array([0.0, 1.0, 0.0]), np.array([2.0, 0.0, -1.0])],
        backward=lambda g, a, b: (ops.relu_backward(g, a), ops.relu_backward(g, b)),
    )
    assert report.ok
    assert (report.num_compared, report.num_kinks) == (3, 3)


def test_inputs_may_be_read_only_and_the_same_array_twice():
    values = np.broadcast_to(3.0, (2, 2))
    report = ops.check_gradients(
        np.multiply, [values, values], backward=lambda g, a, b: (b * g, a * g)
    )
    assert report.ok


def test_the_upstream_gradient_is_not_the_input():
    # With grad_out = images batch norm's gradient is zero, and so is that of a wrong one.
    for seed in range(5):
        images = normal(seed, 4, 3)
        report = ops.check_gradients(
            lambda x: ops.batch_norm(x, None, None, training=True),
            [images],
            backward=lambda g, x: 2 * ops.batch_norm_backward(g, x, None, None, training=True)[0],
            seed=seed,
        )
        assert not report.ok
        assert abs(report.got) > 1e-3


def test_kinks_are_counted_and_left_out():
    values = np.array([-1.0, 0.0, 2.0, 0.0])
    for at_zero in (0.0, 1.0, 0.3, 17.0):  # no slope is right there, so none is wrong

        def backward(grad_out, values, at_zero=at_zero):
            return np.where(values == 0, at_zero * grad_out, ops.relu_backward(grad_out, values))

        report = ops.check_gradients(ops.relu, [values], backward=backward)
        assert report.ok
        assert (report.num_compared, report.num_kinks) == (2, 2)
        assert "2 entries compared, 2 at a kink left out" in repr(report)


def test_a_bug_beside_kinks_is_found():
    values = np.array([0.0, 0.0, 2.0, 0.0])
    report = ops.check_gradients(ops.relu, [values], backward=lambda g, v: 0.99 * g * (v > 0))
    assert not report.ok
    assert report.worst_index == (2,)


def test_ties_of_a_maximum_are_kinks():
    images = np.zeros((1, 1, 2, 4))
    images[..., 2:] = [[1, 2], [3, 4]]
    report = ops.check_gradients(
        lambda x: ops.max_pool2d(x, 2),
        [images],
        backward=lambda g, x: ops.max_pool2d_backward(g, x, 2),
    )
    assert report.ok
    assert (report.num_compared, report.num_kinks) == (4, 4)


@pytest.mark.parametrize("height", [1e-5, 1e-3, 0.1, 1.0, 1e3, 1e6])
def test_a_kink_of_any_height_is_no_error(height):
    # |x| at 0, slight or steep, on top of a slope of 1: 0.5 is the mean of the slopes, not ours.
    values = np.array([0.0, 0.5])
    report = ops.check_gradients(
        lambda x: x + height * np.maximum(x, 0),
        [values],
        backward=lambda g, x: g * (1 + height * (x > 0)),
    )
    assert report.ok, report
    assert report.num_compared + report.num_kinks == 2
    assert report.num_kinks == (height > 1e-5 or report.num_kinks)


@pytest.mark.parametrize("distance", [1.5e-6, 3e-6, 9e-6, 1.1e-5])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_kink_beside_an_entry_neither_hides_it_nor_alarms(distance, side):
    values = np.array([side * distance, 0.5])
    report = ops.check_gradients(ops.relu, [values], backward=ops.relu_backward)
    assert report.ok, report
    assert report.num_kinks == 0
    wrong = ops.check_gradients(ops.relu, [values], backward=lambda g, v: 0.5 * g * (v > 0))
    assert not wrong.ok


@pytest.mark.parametrize("curvature", [1e2, 1e4, 1e6])
def test_a_strong_bend_is_not_a_kink(curvature):
    # With a second derivative of a million, the two slopes differ by ten: still no kink.
    values = normal(0, 6)
    report = ops.check_gradients(
        lambda x: curvature * x**2, [values], backward=lambda g, x: 2 * curvature * x * g
    )
    assert report.ok, report
    assert report.num_kinks == 0
    wrong = ops.check_gradients(
        lambda x: curvature * x**2, [values], backward=lambda g, x: 2.001 * curvature * x * g
    )
    assert not wrong.ok
    assert wrong.num_kinks == 0


def test_at_the_bottom_of_a_bend_the_slope_is_zero_and_compared():
    values = np.array([0.0, 1.0])
    report = ops.check_gradients(
        lambda x: 1e5 * x**2, [values], backward=lambda g, x: 2e5 * x * g + (x == 0)
    )
    assert not report.ok
    assert report.worst_index == (0,)


@pytest.mark.parametrize("size", [1e-12, 1e-9, 1e-6, 1e-3, 1.0, 1e3, 1e6])
def test_the_size_of_the_gradients_does_not_matter(size):
    values = normal(0, 5) + 3

    def function(x):
        return size * np.sin(x)

    right = ops.check_gradients(function, [values], backward=lambda g, x: size * np.cos(x) * g)
    assert right.ok, right
    if size > 1e-9:  # below, rounding of numbers around 1 could be all that is seen
        wrong = ops.check_gradients(
            function, [values], backward=lambda g, x: 1.01 * size * np.cos(x) * g
        )
        assert not wrong.ok


def test_gradients_that_are_truly_zero_may_be_zero_or_rounding():
    # Batch norm takes away what a bias before it adds.
    images = normal(0, 4, 3)

    def function(bias):
        return ops.batch_norm(images + bias, None, None, training=True)

    for noise in (0.0, 1e-16):
        report = ops.check_gradients(
            function, [normal(1, 3)], backward=lambda g, bias, noise=noise: np.full(3, noise)
        )
        assert report.ok, report


def test_rounding_is_not_taken_for_kinks():
    # The sum with 1e10 loses the last digits of x: differences see nothing but noise.
    report = ops.check_gradients(
        lambda x: (x + 1e10) - 1e10, [normal(0, 50)], backward=lambda g, x: 2 * g
    )
    assert not report.ok


def test_many_outputs_do_not_blur_the_slopes():
    # Each entry moves one output of 20,000; the others' rounding must not count.
    values = normal(0, 3)

    def function(x):
        return np.concatenate([x**2, np.full(20_000, 1e6)])

    assert ops.check_gradients(function, [values], backward=lambda g, x: 2 * x * g[:3]).ok
    wrong = ops.check_gradients(function, [values], backward=lambda g, x: 2.00001 * x * g[:3])
    assert not wrong.ok


def test_large_inputs_are_moved_by_what_is_left_after_rounding():
    report = ops.check_gradients(
        lambda x: x / 1e6, [np.array([1e6, 3e6])], backward=lambda g, x: g / 1e6
    )
    assert report.ok, report
    # Around 1e8 numbers are 1.5e-8 apart, so the step is not quite 1e-5.
    assert ops.check_gradients(lambda x: x - 1e8, [np.full(3, 1e8)], backward=lambda g, x: g).ok
    with pytest.raises(ValueError, match=r"larger step: 1e-05 is lost beside an input of 1e\+12"):
        ops.check_gradients(cube, [np.array([1.0, 1e12])], backward=cube_backward)


def test_a_function_may_return_a_number():
    for total in (lambda values: values.sum(), lambda values: float(values.sum())):
        report = ops.check_gradients(
            total, [np.ones((2, 2))], backward=lambda g, v: g * np.ones_like(v)
        )
        assert report.ok
        assert report.num_compared == 4


def test_an_input_may_be_a_single_number():
    report = ops.check_gradients(cube, [np.array(2.0)], backward=cube_backward)
    assert report.ok
    assert report.worst_index == ()


def test_float32_is_checked_in_float64_and_inputs_stay():
    values = normal(0, 3, 2).astype(np.float32)
    kept = values.copy()
    dtypes = []

    def function(values):
        dtypes.append(values.dtype)
        values *= 2  # on a copy of its own
        return values**2

    def backward(grad_out, values):
        dtypes.append(values.dtype)
        assert grad_out.dtype == np.float64
        grad = 8 * values * grad_out
        values[:], grad_out[:] = 0, 0
        return grad

    assert ops.check_gradients(function, [values], backward=backward).ok
    assert set(dtypes) == {np.dtype(np.float64)}
    np.testing.assert_array_equal(values, kept)


def test_a_function_that_returns_its_input_or_a_kept_buffer():
    buffer = np.empty(3)

    def reuse(values):
        buffer[:] = values**2
        return buffer

    values = normal(0, 3)
    assert ops.check_gradients(lambda values: values, [values], backward=lambda g, v: g).ok
    assert not ops.check_gradients(lambda values: values, [values], backward=lambda g, v: 2 * g).ok
    assert ops.check_gradients(reuse, [values], backward=lambda g, v: 2 * v * g).ok


def test_the_seed_changes_the_upstream_gradient_alone():
    seen = []

    def backward(grad_out, values):
        seen.append(grad_out)
        return cube_backward(grad_out, values)

    for seed in (0, 0, 1):
        assert ops.check_gradients(cube, [normal(0, 3)], backward=backward, seed=seed).ok
    assert np.array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[0], seen[2])
    assert np.unique(seen[0]).size == 3


def test_tolerance_and_step_are_used():
    def backward(grad_out, values):
        return 1.001 * cube_backward(grad_out, values)

    values = normal(0, 3)
    assert not ops.check_gradients(cube, [values], backward=backward, tolerance=1e-4).ok
    assert ops.check_gradients(cube, [values], backward=backward, tolerance=1e-2).ok
    # A third derivative of 6: a step of 0.1 is off by 0.01.
    assert not ops.check_gradients(cube, [values], backward=cube_backward, step=0.1).ok


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (lambda images, weight: images * weight, ["images", "weight"]),
        (lambda *arrays: arrays[0] * arrays[1], ["input 0", "input 1"]),
        (np.multiply, None),
    ],
)
def test_inputs_are_named_by_the_signature(function, names):
    for position in range(2):

        def backward(grad_out, a, b, position=position):
            grads = [b * grad_out, a * grad_out]
            grads[position] = grads[position] + 1
            return tuple(grads)

        report = ops.check_gradients(function, [normal(0, 2), normal(1, 2)], backward=backward)
        assert not report.ok
        if names:
            assert report.worst_input == names[position]


def test_an_input_of_a_variadic_function_has_a_number():
    report = ops.check_gradients(
        lambda *arrays: 2 * arrays[0], [normal(0, 2)], backward=lambda g, values: g
    )
    assert report.worst_input == "input 0"


def square(values):
    return values**2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: ops.check_gradients(square, [np.ones((2, 3))], backward=lambda g, v: g.T),
            ValueError,
            r"shapes \[\(2, 3\)\], got \[\(3, 2\)\]",
        ),
        (
            lambda: ops.check_gradients(square, [np.ones(2)], backward=lambda g, v: (g, g)),
            ValueError,
            r"shapes \[\(2,\)\], got \[\(2,\), \(2,\)\]",
        ),
        (
            lambda: ops.check_gradients(
                np.add, [np.ones(2), np.ones(2)], backward=lambda g, a, b: g
            ),
            ValueError,
            r"\[\(2,\), \(2,\)\], got \[\(2,\)\]",
        ),
        (
            lambda: ops.check_gradients(square, [np.ones(2)], backward=lambda g, v: None),
            TypeError,
            "expected gradients as arrays, got NoneType",
        ),
        (
            lambda: ops.check_gradients(square, [[1.0]], backward=lambda g, v: g),
            TypeError,
            "floating-point arrays, got list",
        ),
        (
            lambda: ops.check_gradients(square, [np.arange(3)], backward=lambda g, v: g),
            TypeError,
            "floating-point arrays, got dtype int64",
        ),
        (
            lambda: ops.check_gradients(square, np.ones(3), backward=lambda g, v: g),
            TypeError,
            r"got one array; use \[array\]",
        ),
        (
            lambda: ops.check_gradients(lambda v: (v, v), [np.ones(2)], backward=lambda g, v: g),
            TypeError,
            "returns an array or number, got tuple",
        ),
        (
            lambda: ops.check_gradients(lambda v: None, [np.ones(2)], backward=lambda g, v: g),
            TypeError,
            "returns an array or number, got NoneType",
        ),
        (
            lambda: ops.check_gradients(
                lambda v: v * np.random.default_rng().random(2),
                [np.ones(2)],
                backward=lambda g, v: g,
            ),
            ValueError,
            "same for the same inputs, got two outputs",
        ),
        (
            lambda: ops.check_gradients(ops.relu, [np.zeros(3)], backward=ops.relu_backward),
            ValueError,
            "every entry is a kink",
        ),
        (
            lambda: ops.check_gradients(square, [np.zeros(0)], backward=lambda g, v: g),
            ValueError,
            "got empty inputs",
        ),
        (
            lambda: ops.check_gradients(square, [np.ones(2)], backward=lambda g, v: g, step=0),
            ValueError,
            "step and tolerance above 0, got 0",
        ),
        (
            lambda: ops.check_gradients(
                square, [np.ones(2)], backward=lambda g, v: g, tolerance=-1
            ),
            ValueError,
            "step and tolerance above 0",
        ),
    ],
)
def test_what_cannot_be_checked_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
