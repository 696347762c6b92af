"""Notebook 02's checkers: wrong answers are rejected for the right reason, right ones accepted."""

import numpy as np
import pytest

from cnnlib.exercises import EXERCISES, examine

from .mutants import Mutant, survives, words, wrong

MUTANTS: list[Mutant] = []
IDS = [name for name in EXERCISES if name.startswith("02.")]


class AlwaysEqual:
    """An object that says that it equals everything."""

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0


def mutant(exercise_id, *says, outcome="not yet"):
    return wrong(MUTANTS, exercise_id, *says, outcome=outcome)


# 02.1 filter_image(image, kernel)


@mutant("02.1", "flipped", "as it stands")
def flips_the_kernel(image, kernel):
    kh, kw = kernel.shape
    output = np.zeros((image.shape[0] - kh + 1, image.shape[1] - kw + 1))
    for row in range(output.shape[0]):
        for column in range(output.shape[1]):
            for i in range(kh):
                for j in range(kw):
                    pixel = image[row + i, column + j]
                    output[row, column] += pixel * kernel[kh - 1 - i, kw - 1 - j]
    return output


@mutant("02.1", "short", "H − kh + 1")
def one_row_and_column_short(image, kernel):
    kh, kw = kernel.shape
    rows, columns = image.shape[0] - kh, image.shape[1] - kw
    output = np.zeros((rows, columns))
    for row in range(rows):
        for column in range(columns):
            output[row, column] = np.sum(image[row : row + kh, column : column + kw] * kernel)
    return output


@mutant("02.1", "one too few along axis 1")
def one_column_short(image, kernel):
    kh, kw = kernel.shape
    return np.array([
        [(image[r : r + kh, c : c + kw] * kernel).sum() for c in range(image.shape[1] - kw)]
        for r in range(image.shape[0] - kh + 1)
    ])  # fmt: skip


@mutant("02.1", "hung over the edge")
def pads_to_the_same_size(image, kernel):
    kh, kw = kernel.shape
    H, W = image.shape
    larger = np.zeros((H + kh - 1, W + kw - 1))
    larger[(kh - 1) // 2 : (kh - 1) // 2 + H, (kw - 1) // 2 : (kw - 1) // 2 + W] = image
    output = np.zeros((H, W))
    for row in range(H):
        for column in range(W):
            output[row, column] = (larger[row : row + kh, column : column + kw] * kernel).sum()
    return output


@mutant("02.1", "without multiplying")
def sums_the_windows(image, kernel):
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape)
    return windows.sum(axis=(2, 3))


@mutant("02.1", "mean of the products")
def takes_the_mean(image, kernel):
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape)
    return (windows * kernel).mean(axis=(2, 3))


@mutant("02.1", "rows and columns have changed places")
def exchanges_rows_and_columns(image, kernel):
    kh, kw = kernel.shape
    output = np.zeros((image.shape[1] - kw + 1, image.shape[0] - kh + 1))
    for row in range(output.shape[1]):
        for column in range(output.shape[0]):
            window = image[row : row + kh, column : column + kw]
            output[column, row] = (window * kernel).sum()
    return output


@mutant("02.1", "returned None", "return")
def prints_instead_of_returning(image, kernel):
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape)
    str((windows * kernel).sum(axis=(2, 3)))  # where a learner would print


@mutant("02.1", "NumPy array is wanted", "list")
def returns_a_list(image, kernel):
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape)
    return (windows * kernel).sum(axis=(2, 3)).tolist()


@mutant("02.1", "changed its input", "copy")
def multiplies_in_place(image, kernel):
    kh, kw = kernel.shape
    output = np.zeros((image.shape[0] - kh + 1, image.shape[1] - kw + 1))
    for row in range(output.shape[0]):
        for column in range(output.shape[1]):
            window = image[row : row + kh, column : column + kw].copy()
            window *= kernel
            output[row, column] = window.sum()
    image *= 0
    return output


@mutant("02.1", "dtype", "int64")
def counts_in_whole_numbers(image, kernel):
    kh, kw = kernel.shape
    output = np.zeros((image.shape[0] - kh + 1, image.shape[1] - kw + 1), dtype=np.int64)
    for row, column in np.ndindex(output.shape):
        output[row, column] = (image[row : row + kh, column : column + kw] * kernel).sum()
    return output


@mutant("02.1", "dtype", "float32")
def goes_through_single_precision(image, kernel):
    image, kernel = image.astype(np.float32), kernel.astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel.shape)
    return np.einsum("rcij,ij->rc", windows, kernel)


@mutant("02.1", "a wide image", "one too few along axis 1", "the cases before this one are right")
def takes_the_image_for_square(image, kernel):
    size = image.shape[0]
    output = np.zeros((size - kernel.shape[0] + 1, size - kernel.shape[1] + 1))
    for row in range(output.shape[0]):
        for column in range(output.shape[1]):
            window = image[row : row + kernel.shape[0], column : column + kernel.shape[1]]
            output[row, column] = (window * kernel).sum()
    return output


@mutant("02.1", "a kernel that is not square")
def takes_the_kernel_for_square(image, kernel):
    size = kernel.shape[0]
    if kernel.shape[1] < size:
        size = kernel.shape[1]
    output = np.zeros((image.shape[0] - size + 1, image.shape[1] - size + 1))
    for row in range(output.shape[0]):
        for column in range(output.shape[1]):
            window = image[row : row + size, column : column + size]
            output[row, column] = (window * kernel[:size, :size]).sum()
    return output


@mutant("02.1", "every value is 0")
def never_writes_its_result(image, kernel):
    kh, kw = kernel.shape
    output = np.zeros((image.shape[0] - kh + 1, image.shape[1] - kw + 1))
    for row in range(output.shape[0]):
        for column in range(output.shape[1]):
            value = (image[row : row + kh, column : column + kw] * kernel).sum()
            value += output[row, column]
    return output


@mutant("02.1", "NumPy array is wanted", "AlwaysEqual")
def returns_what_equals_everything(image, kernel):
    return AlwaysEqual()


@mutant("02.1", "IndexError", "image[row + i, column + j]", outcome="error")
def runs_over_the_edge(image, kernel):
    output = np.zeros_like(image)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            for i, j in np.ndindex(kernel.shape):
                output[row, column] += image[row + i, column + j] * kernel[i, j]
    return output


@mutant("02.1", "wrong sign")
def subtracts(image, kernel):
    kh, kw = kernel.shape
    output = np.zeros((image.shape[0] - kh + 1, image.shape[1] - kw + 1))
    for i, j in np.ndindex(kh, kw):
        rows, columns = slice(i, i + output.shape[0]), slice(j, j + output.shape[1])
        output -= kernel[i, j] * image[rows, columns]
    return output


# 02.2 three_kernels()

LEFT, RIGHT = [[0, 0, 0], [0, 0, 1], [0, 0, 0]], [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
CROSS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]) / 4
CONTRAST = np.array([[-0.125] * 3, [-0.125, 1, -0.125], [-0.125] * 3])


@mutant("02.2", "shift_right", "to the left")
def shifts_to_the_left():
    return np.array(LEFT), CROSS, CONTRAST


@mutant("02.2", "shift_right", "down")
def shifts_down():
    return np.array([[0, 1, 0], [0, 0, 0], [0, 0, 0]]), CROSS, CONTRAST


@mutant("02.2", "shift_right", "up")
def shifts_up():
    return np.array([[0, 0, 0], [0, 0, 0], [0, 1, 0]]), CROSS, CONTRAST


@mutant("02.2", "shift_right", "left of the middle")
def shifts_diagonally():
    return np.array([[1, 0, 0], [0, 0, 0], [0, 0, 0]]), CROSS, CONTRAST


@mutant("02.2", "neighbour_mean", "a mean divides")
def sums_four_neighbours():
    return np.array(RIGHT), np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]), CONTRAST


@mutant("02.2", "neighbour_mean", "all nine")
def blurs_nine_pixels():
    return np.array(RIGHT), np.ones((3, 3)) / 9, CONTRAST


@mutant("02.2", "neighbour_mean", "pixel itself was counted")
def counts_the_middle_too():
    return np.array(RIGHT), np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]]) / 5, CONTRAST


@mutant("02.2", "neighbour_mean", "eight neighbours")
def averages_eight_neighbours():
    return np.array(RIGHT), np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]]) / 8, CONTRAST


@mutant("02.2", "neighbour_mean", "sum to 0.8")
def divides_four_by_five():
    return np.array(RIGHT), np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]) / 5, CONTRAST


@mutant("02.2", "contrast", "sign")
def turns_the_sign():
    return np.array(RIGHT), CROSS, -CONTRAST


@mutant("02.2", "contrast", "not averaged")
def is_the_laplacian_of_eight():
    return np.array(RIGHT), CROSS, np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]])


@mutant("02.2", "contrast", "four of the eight")
def subtracts_four_neighbours():
    return np.array(RIGHT), CROSS, np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]]) / 4


@mutant("02.2", "contrast", "nine pixels")
def subtracts_the_mean_of_nine():
    kernel = -np.ones((3, 3)) / 9
    kernel[1, 1] += 1
    return np.array(RIGHT), CROSS, kernel


@mutant("02.2", "contrast", "weights sum to -7", "1 in the middle")
def forgets_to_divide_by_eight():
    kernel = -np.ones((3, 3))
    kernel[1, 1] = 1
    return np.array(RIGHT), CROSS, kernel


@mutant("02.2", "NumPy array is wanted", "list", "shift_right")
def returns_nested_lists():
    return RIGHT, CROSS.tolist(), CONTRAST.tolist()


@mutant("02.2", "array of shape (3, 3)", "another shape")
def returns_flat_kernels():
    return np.array(RIGHT).ravel(), CROSS.ravel(), CONTRAST.ravel()


@mutant("02.2", "returned None")
def defines_but_does_not_return():
    shift_right = np.array(RIGHT)
    str((shift_right, CROSS, CONTRAST))


@mutant("02.2", "3 results are wanted", "shift_right, neighbour_mean, contrast")
def returns_two_kernels():
    return np.array(RIGHT), CROSS


@mutant("02.2", "This is contrast", "in order")
def returns_them_in_another_order():
    return CONTRAST, CROSS, np.array(RIGHT)


@mutant("02.2", "shift_right", "not finite")
def holds_a_nan():
    return np.full((3, 3), np.nan), CROSS, CONTRAST


@mutant("02.2", "NumPy array is wanted", "AlwaysEqual")
def returns_kernels_that_equal_everything():
    return AlwaysEqual(), AlwaysEqual(), AlwaysEqual()


# 02.3 merge_kernels(first, second)


@mutant("02.3", "mirrored")
def correlates_the_two(first, second):
    h1, w1 = first.shape
    h2, w2 = second.shape
    output = np.zeros((h1 + h2 - 1, w1 + w2 - 1))
    for i in range(h2):
        for j in range(w2):
            block = output[h2 - 1 - i : h2 - 1 - i + h1, w2 - 1 - j : w2 - 1 - j + w1]
            block += second[i, j] * first
    return output


@mutant("02.3", "same place")
def multiplies_number_by_number(first, second):
    return first * second


@mutant("02.3", "side by side")
def adds_them(first, second):
    output = np.empty(first.shape)
    for i, j in np.ndindex(first.shape):
        output[i, j] = first[i, j] + second[i, j]
    return output


@mutant("02.3", "matrix product", outcome="error")
def multiplies_them_as_matrices(first, second):
    return first @ second


@mutant("02.3", "rim is missing")
def keeps_the_size_of_the_first(first, second):
    h1, w1 = first.shape
    h2, w2 = second.shape
    whole = np.zeros((h1 + h2 - 1, w1 + w2 - 1))
    for i in range(h1):
        for j in range(w1):
            whole[i : i + h2, j : j + w2] += first[i, j] * second
    top, left = h2 // 2, w2 // 2
    return whole[top : top + h1, left : left + w1]


@mutant("02.3", "one too many along axes 0 and 1")
def makes_it_one_too_large(first, second):
    h1, w1 = first.shape
    h2, w2 = second.shape
    merged = np.zeros((h1 + h2, w1 + w2))
    for i in range(h2):
        for j in range(w2):
            merged[i : i + h1, j : j + w1] += second[i, j] * first
    return merged


@mutant("02.3", "overlap")
def overwrites_where_it_should_add(first, second):
    h1, w1 = first.shape
    h2, w2 = second.shape
    merged = np.zeros((h1 + h2 - 1, w1 + w2 - 1))
    for i in range(h2):
        for j in range(w2):
            merged[i : i + h1, j : j + w1] = second[i, j] * first
    return merged


@mutant("02.3", "a second kernel of one number", "size is wrong")
def takes_both_for_equally_large(first, second):
    h, w = first.shape
    merged = np.zeros((2 * h - 1, 2 * w - 1))
    for i, j in np.ndindex(second.shape):
        merged[i : i + h, j : j + w] += second[i, j] * first
    return merged


@mutant("02.3", "wrong sign")
def turns_the_sign_of_one(first, second):
    merged = np.zeros((len(first) + len(second) - 1, first.shape[1] + second.shape[1] - 1))
    for i, j in np.ndindex(second.shape):
        merged[i : i + len(first), j : j + first.shape[1]] -= second[i, j] * first
    return merged


@mutant("02.3", "changed its input")
def scales_the_first_in_place(first, second):
    h1, w1 = first.shape
    merged = np.zeros((h1 + len(second) - 1, w1 + second.shape[1] - 1))
    for i, j in np.ndindex(h1, w1):
        merged[i : i + len(second), j : j + second.shape[1]] += first[i, j] * second
        first[i, j] = 0
    return merged


@mutant("02.3", "returned None")
def merges_without_returning(first, second):
    merged = np.zeros((len(first) + len(second) - 1, first.shape[1] + second.shape[1] - 1))
    for i, j in np.ndindex(second.shape):
        merged[i : i + len(first), j : j + first.shape[1]] += second[i, j] * first


# 02.4 split_kernel(kernel)


def refuse(kernel):
    if np.linalg.matrix_rank(kernel) > 1:
        raise ValueError("this kernel is not separable")


@mutant("02.4", "divided by a 0", "0 that stands in this kernel")
def divides_by_the_first_number(kernel):
    refuse(kernel)
    with np.errstate(all="ignore"):
        return kernel[:, 0], kernel[0] / kernel[0, 0]


@mutant("02.4", "all zeros")
def takes_the_first_row_where_it_is_zero(kernel):
    refuse(kernel)
    first = kernel[0, 0] if kernel[0, 0] != 0 else 1.0
    return kernel[:, 0], kernel[0] / first


@mutant("02.4", "size is not", "singular value")
def forgets_the_singular_value(kernel):
    refuse(kernel)
    left, sizes, right = np.linalg.svd(kernel)
    return left[:, 0], right[0]


@mutant("02.4", "once, not twice")
def uses_the_singular_value_twice(kernel):
    refuse(kernel)
    left, sizes, right = np.linalg.svd(kernel)
    return left[:, 0] * sizes[0], right[0] * sizes[0]


@mutant("02.4", "right[0], not right[:, 0]")
def takes_the_right_vectors_as_columns(kernel):
    refuse(kernel)
    left, sizes, right = np.linalg.svd(kernel)
    return left[:, 0] * sizes[0], right[:, 0]


@mutant("02.4", "left[:, 0], not left[0]")
def takes_the_left_vectors_as_rows(kernel):
    refuse(kernel)
    left, sizes, right = np.linalg.svd(kernel)
    return left[0] * sizes[0], right[0]


@mutant("02.4", "sign")
def drops_the_sign(kernel):
    refuse(kernel)
    left, sizes, right = np.linalg.svd(kernel)
    column = left[:, 0] * sizes[0] * np.sign(left[:, 0].sum() or 1)
    return column, right[0] * np.sign(right[0].sum() or 1)


@mutant("02.4", "changed places")
def returns_row_and_column(kernel):
    refuse(kernel)
    left, sizes, right = np.linalg.svd(kernel)
    return right[0], left[:, 0] * sizes[0]


@mutant("02.4", "the Laplacian", "expected: a ValueError")
def never_refuses(kernel):
    left, sizes, right = np.linalg.svd(kernel)
    return left[:, 0] * sizes[0], right[0]


@mutant("02.4", "asked for", "raise ValueError", "got: None")
def returns_none_where_it_should_refuse(kernel):
    left, sizes, right = np.linalg.svd(kernel)
    if sizes[1] > 1e-9:
        return None
    return left[:, 0] * sizes[0], right[0]


@mutant("02.4", "nearly separable", "compare the outer product")
def is_too_generous(kernel):
    left, sizes, right = np.linalg.svd(kernel)
    if sizes[1] > 0.2:
        raise ValueError("not separable")
    return left[:, 0] * sizes[0], right[0]


@mutant("02.4", "compare with a tolerance", "raise ValueError", outcome="error")
def demands_exact_zeros(kernel):
    left, sizes, right = np.linalg.svd(kernel)
    if np.any(sizes[1:] != 0):
        raise ValueError("not separable")
    return left[:, 0] * sizes[0], right[0]


@mutant("02.4", "can be split", outcome="error")
def refuses_everything(kernel):
    raise ValueError("not separable")


@mutant("02.4", "not finite", "root of a negative")
def takes_roots_of_the_diagonal(kernel):
    if kernel.shape[0] != kernel.shape[1] or kernel.min() == 0 or kernel[0, 2:].any():
        left, sizes, right = np.linalg.svd(kernel)
        return left[:, 0] * sizes[0], right[0]
    with np.errstate(all="ignore"):
        root = np.sqrt(np.diag(kernel))
    return root, root


@mutant("02.4", "5 × 3", "IndexError", "kernel[pivot[0], j]", outcome="error")
def takes_every_kernel_for_square(kernel):
    refuse(kernel)
    n = len(kernel)
    pivot = np.unravel_index(np.abs(kernel).argmax(), kernel.shape)
    column = [kernel[i, pivot[1]] for i in range(n)]
    return column, [kernel[pivot[0], j] / kernel[pivot] for j in range(n)]


@mutant("02.4", "2 results are wanted", "array of shape")
def returns_the_column_only(kernel):
    refuse(kernel)
    left, sizes, right = np.linalg.svd(kernel)
    return left[:, 0] * sizes[0]


@mutant("02.4", "one vector is wanted")
def returns_whole_matrices(kernel):
    refuse(kernel)
    left, sizes, right = np.linalg.svd(kernel)
    return left * sizes[0], right


@mutant("02.4", "returned None")
def splits_without_returning(kernel):
    left, sizes, right = np.linalg.svd(kernel)
    str((left[:, 0] * sizes[0], right[0]))


@mutant("02.4", "changed the kernel", "copy")
def subtracts_in_place(kernel):
    refuse(kernel)
    left, sizes, right = np.linalg.svd(kernel)
    kernel -= np.outer(left[:, 0] * sizes[0], right[0])
    return left[:, 0] * sizes[0], right[0]


@mutant("02.4", "the Laplacian", "RuntimeError", "expected: a ValueError", outcome="error")
def raises_another_error(kernel):
    left, sizes, right = np.linalg.svd(kernel)
    if sizes[1] > 1e-9:
        raise RuntimeError("not separable")
    return left[:, 0] * sizes[0], right[0]


@mutant("02.4", "array of numbers", "AlwaysEqual")
def returns_parts_that_equal_everything(kernel):
    return AlwaysEqual(), AlwaysEqual()


# 02.5 fit_layer(images, targets, kernel_size)


def rows_of_windows(images, kernel_size):
    kh, kw = kernel_size
    N, C, H, W = images.shape
    return np.array([
        images[n, :, r : r + kh, c : c + kw].ravel()
        for n in range(N) for r in range(H - kh + 1) for c in range(W - kw + 1)
    ])  # fmt: skip


@mutant("02.5", "no bias in your equations")
def leaves_the_bias_out(images, targets, kernel_size):
    O = targets.shape[1]
    wanted = targets.transpose(0, 2, 3, 1).reshape(-1, O)
    found = np.linalg.lstsq(rows_of_windows(images, kernel_size), wanted, rcond=None)[0]
    return found.T.reshape(O, images.shape[1], *kernel_size), np.zeros(O)


@mutant("02.5", "mean of the targets")
def takes_the_mean_for_the_bias(images, targets, kernel_size):
    O = targets.shape[1]
    bias = targets.mean((0, 2, 3))
    wanted = targets.transpose(0, 2, 3, 1).reshape(-1, O) - bias
    found = np.linalg.pinv(rows_of_windows(images, kernel_size)) @ wanted
    return found.T.reshape(O, images.shape[1], *kernel_size), bias


def fitted(images, targets, kernel_size):
    """The least-squares answer, (C * kh * kw + 1, O), by the pseudo-inverse."""
    rows = rows_of_windows(images, kernel_size)
    rows = np.column_stack([rows, np.ones(len(rows))])
    return np.linalg.pinv(rows) @ targets.transpose(0, 2, 3, 1).reshape(len(rows), -1)


@mutant("02.5", "transpose it before you reshape")
def reshapes_without_transposing(images, targets, kernel_size):
    found = fitted(images, targets, kernel_size)
    return found[:-1].reshape(targets.shape[1], images.shape[1], *kernel_size), found[-1]


@mutant("02.5", "turned by 180")
def turns_the_kernels(images, targets, kernel_size):
    found = fitted(images, targets, kernel_size)
    weight = found[:-1].T.reshape(targets.shape[1], images.shape[1], *kernel_size)
    return np.flip(weight, (2, 3)), found[-1]


@mutant("02.5", "first image of the batch")
def looks_at_one_image(images, targets, kernel_size):
    kh, kw = kernel_size
    windows = np.lib.stride_tricks.sliding_window_view(images[0], kernel_size, axis=(1, 2))
    rows = windows.transpose(1, 2, 0, 3, 4).reshape(-1, images.shape[1] * kh * kw)
    rows = np.column_stack([rows, np.ones(len(rows))])
    wanted = targets[0].reshape(len(targets[0]), -1).T
    found = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    return found[:-1].T.reshape(-1, images.shape[1], kh, kw), found[-1]


@mutant("02.5", "two channels")
def looks_at_one_channel(images, targets, kernel_size):
    O = targets.shape[1]
    found = fitted(images[:, :1], targets, kernel_size)
    weight = np.zeros((O, images.shape[1], *kernel_size))
    weight[:, 0] = found[:-1].T.reshape(O, *kernel_size)
    return weight, found[-1]


@mutant("02.5", "two kernels")
def finds_one_kernel_for_all(images, targets, kernel_size):
    O = targets.shape[1]
    found = fitted(images, targets[:, :1], kernel_size)
    weight = found[:-1].T.reshape(1, images.shape[1], *kernel_size)
    return np.repeat(weight, O, axis=0), np.repeat(found[-1], O)


@mutant("02.5", "wrong order")
def returns_bias_and_weight(images, targets, kernel_size):
    found = fitted(images, targets, kernel_size)
    return found[-1], found[:-1].T.reshape(targets.shape[1], images.shape[1], *kernel_size)


@mutant("02.5", "2 results are wanted", "an array of shape (1, 1, 2, 2)")
def returns_the_weight_only(images, targets, kernel_size):
    found = fitted(images, targets, kernel_size)
    return found[:-1].T.reshape(targets.shape[1], images.shape[1], *kernel_size)


@mutant("02.5", "4 axes; yours has 2")
def leaves_the_weight_flat(images, targets, kernel_size):
    found = fitted(np.concatenate([images]), targets, kernel_size)
    return found.T, found[-1]


@mutant("02.5", "2 of the 2", "another shape")
def leaves_the_bias_two_dimensional(images, targets, kernel_size):
    found = fitted(images, targets, kernel_size)
    return found[:-1].T.reshape(-1, images.shape[1], *kernel_size), found[-1:]


@mutant("02.5", "one channel in and out", "close, but not equal")
def shrinks_the_weights(images, targets, kernel_size):
    rows = rows_of_windows(images, kernel_size)
    rows = np.column_stack([rows, np.ones(len(rows))])
    wanted = targets.transpose(0, 2, 3, 1).reshape(len(rows), -1)
    square = rows.T @ rows + 1e-2 * np.eye(rows.shape[1])
    found = np.linalg.solve(square, rows.T @ wanted)
    return found[:-1].T.reshape(-1, images.shape[1], *kernel_size), found[-1]


@mutant("02.5", "found[0]")
def puts_the_ones_first_and_cuts_the_last(images, targets, kernel_size):
    rows = rows_of_windows(images, kernel_size)
    rows = np.column_stack([np.ones(len(rows)), rows])
    wanted = targets.transpose(0, 2, 3, 1).reshape(len(rows), -1)
    found = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    return found[:-1].T.reshape(-1, images.shape[1], *kernel_size), found[-1]


@mutant("02.5", "changed its input")
def centres_in_place(images, targets, kernel_size):
    found = fitted(images, targets, kernel_size)
    targets -= targets.mean()
    return found[:-1].T.reshape(-1, images.shape[1], *kernel_size), found[-1]


# 02.6 im2col(images, kernel_size, stride=1)


def windows_of(images, kernel_size, stride=1):
    windows = np.lib.stride_tricks.sliding_window_view(images, kernel_size, axis=(2, 3))
    return windows[:, :, ::stride, ::stride]


def column_by_column(images, kernel_size, rows, columns, stride):
    """Columns from the windows that begin at these rows and columns."""
    kh, kw = kernel_size
    return np.stack(
        [
            images[:, :, r * stride : r * stride + kh, c * stride : c * stride + kw].reshape(
                len(images), -1
            )
            for r in rows
            for c in columns
        ],
        axis=2,
    )


@mutant("02.6", "stride was not used")
def ignores_the_stride(images, kernel_size, stride=1):
    H, W = images.shape[2:]
    rows, columns = range(H - kernel_size[0] + 1), range(W - kernel_size[1] + 1)
    return column_by_column(images, kernel_size, rows, columns, 1)


@mutant("02.6", "stride 2")
def uses_the_stride_for_rows_only(images, kernel_size, stride=1):
    windows = np.lib.stride_tricks.sliding_window_view(images, kernel_size, axis=(2, 3))
    windows = windows[:, :, ::stride]
    columns = windows.transpose(0, 1, 4, 5, 2, 3)
    return columns.reshape(len(images), columns.shape[1] * columns.shape[2] * columns.shape[3], -1)


@mutant("02.6", "stride that leaves a remainder", "hang over the edge", "not up")
def rounds_the_size_up(images, kernel_size, stride=1):
    H, W = images.shape[2:]
    rows = range(int(np.ceil((H - kernel_size[0]) / stride)) + 1)
    columns = range(int(np.ceil((W - kernel_size[1]) / stride)) + 1)
    padded = np.pad(images, ((0, 0), (0, 0), (0, stride), (0, stride)))
    return column_by_column(padded, kernel_size, rows, columns, stride)


@mutant("02.6", "move the axes with transpose first")
def reshapes_alone(images, kernel_size, stride=1):
    windows = windows_of(images, kernel_size, stride)
    N, C, out_h, out_w, kh, kw = windows.shape
    return windows.reshape(N, C * kh * kw, out_h * out_w)


@mutant("02.6", "stands in each row")
def puts_windows_in_rows(images, kernel_size, stride=1):
    windows = windows_of(images, kernel_size, stride)
    N, C, out_h, out_w, kh, kw = windows.shape
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(N, out_h * out_w, C * kh * kw)


@mutant("02.6", "channel has to vary slowest")
def lets_the_channel_vary_fastest(images, kernel_size, stride=1):
    windows = windows_of(images, kernel_size, stride)
    N, C, out_h, out_w, kh, kw = windows.shape
    rows = [windows[:, c, :, :, i, j] for i in range(kh) for j in range(kw) for c in range(C)]
    return np.stack(rows, axis=1).reshape(N, C * kh * kw, out_h * out_w)


@mutant("02.6", "kernel rows and kernel columns")
def exchanges_kernel_rows_and_columns(images, kernel_size, stride=1):
    windows = windows_of(images, kernel_size, stride)
    N, C, out_h, out_w, kh, kw = windows.shape
    rows = [windows[:, c, :, :, i, j] for c in range(C) for j in range(kw) for i in range(kh)]
    return np.stack(rows, axis=1).reshape(N, C * kh * kw, out_h * out_w)


@mutant("02.6", "output rows vary slowest")
def goes_down_before_across(images, kernel_size, stride=1):
    kh, kw = kernel_size
    columns = [
        images[:, :, r : r + kh, c : c + kw].reshape(len(images), -1)
        for c in range(0, images.shape[3] - kw + 1, stride)
        for r in range(0, images.shape[2] - kh + 1, stride)
    ]
    return np.stack(columns, axis=2)


@mutant("02.6", "axis is missing")
def forgets_the_batch(images, kernel_size, stride=1):
    windows = windows_of(images, kernel_size, stride)
    N, C, out_h, out_w, kh, kw = windows.shape
    windows = windows.transpose(1, 4, 5, 0, 2, 3)
    return windows[..., :1, :, :].reshape(C * kh * kw, out_h * out_w)


@mutant("02.6", "two channels")
def uses_the_first_channel_only(images, kernel_size, stride=1):
    windows = windows_of(images, kernel_size, stride)[:, 0]
    N, out_h, out_w, kh, kw = windows.shape
    return windows.transpose(0, 3, 4, 1, 2).reshape(N, kh * kw, out_h * out_w)


@mutant("02.6", "another shape")
def leaves_six_axes(images, kernel_size, stride=1):
    return windows_of(images, kernel_size, stride).transpose(0, 1, 4, 5, 2, 3)


@mutant("02.6", "two images")
def spreads_the_first_image(images, kernel_size, stride=1):
    windows = windows_of(images, kernel_size, stride)
    N, C, out_h, out_w, kh, kw = windows.shape
    first = windows[0].transpose(0, 3, 4, 1, 2).reshape(C * kh * kw, out_h * out_w)
    return np.stack([first] * N)


@mutant("02.6", "dtype", "int64")
def makes_whole_numbers(images, kernel_size, stride=1):
    H, W = images.shape[2:]
    rows = range((H - kernel_size[0]) // stride + 1)
    columns = range((W - kernel_size[1]) // stride + 1)
    return column_by_column(images.astype(int), kernel_size, rows, columns, stride)


# 02.7 conv2d(images, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)


def slow_conv2d(images, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, **twist):
    """A convolution in loops; each `twist` is one thing that a learner may get wrong."""
    N, C, H, W = images.shape
    O, group_in, kh, kw = weight.shape
    top, bottom, left, right = twist.get("sides", lambda p: (p, p, p, p))(padding)
    padded = np.full((N, C, H + top + bottom, W + left + right), twist.get("value", 0.0))
    padded[:, :, top : top + H, left : left + W] = images
    step_h, step_w = twist.get("steps", lambda s: (s, s))(stride)
    gap_h, gap_w = twist.get("gaps", lambda d: (d, d))(dilation)
    free_h = padded.shape[2] - twist.get("span", lambda d, k: d * (k - 1) + 1)(gap_h, kh)
    free_w = padded.shape[3] - twist.get("span", lambda d, k: d * (k - 1) + 1)(gap_w, kw)
    if min(free_h, free_w) < 0 and twist.get("refuses", True):
        raise ValueError("the kernel does not fit")
    out_h, out_w = max(free_h // step_h + 1, 0), max(free_w // step_w + 1, 0)
    output = np.zeros((N, O, out_h, out_w), dtype=images.dtype)
    channels = twist.get("channels", lambda g, groups, C: range(g * C // groups, C))
    for o in range(O):
        seen = list(channels(o * groups // O, groups, C))
        for c in range(group_in):
            for i, j in np.ndindex(kh, kw):
                pixels = padded[:, seen[c], i * gap_h :: step_h, j * gap_w :: step_w]
                output[:, o] += weight[o, c, i, j] * pixels[:, :out_h, :out_w]
    return output if bias is None else output + bias[:, None, None]


@mutant("02.7", "flipped", "as it stands")
def turns_the_kernel_about(images, weight, bias=None, **sizes):
    return slow_conv2d(images, weight[:, :, ::-1, ::-1], bias, **sizes)


@mutant("02.7", "stride was not used")
def ignores_stride(images, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    return slow_conv2d(images, weight, bias, 1, padding, dilation, groups)


@mutant("02.7", "new here: stride")
def strides_down_only(images, weight, bias=None, **sizes):
    return slow_conv2d(images, weight, bias, steps=lambda s: (s, 1), **sizes)


@mutant("02.7", "padding was not used")
def ignores_padding(images, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    return slow_conv2d(images, weight, bias, stride, 0, dilation, groups)


@mutant("02.7", "below and to the right")
def pads_below_and_right(images, weight, bias=None, **sizes):
    return slow_conv2d(images, weight, bias, sides=lambda p: (0, 2 * p, 0, 2 * p), **sizes)


@mutant("02.7", "above and to the left")
def pads_above_and_left(images, weight, bias=None, **sizes):
    return slow_conv2d(images, weight, bias, sides=lambda p: (p, 0, p, 0), **sizes)


@mutant("02.7", "new here: padding")
def pads_rows_only(images, weight, bias=None, **sizes):
    return slow_conv2d(images, weight, bias, sides=lambda p: (p, p, 0, 0), **sizes)


@mutant("02.7", "new here: padding")
def pads_with_ones(images, weight, bias=None, **sizes):
    return slow_conv2d(images, weight, bias, value=1.0, **sizes)


@mutant("02.7", "repeats the border")
def repeats_the_border(images, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    H, W = images.shape[2:]
    rows = np.clip(np.arange(-padding, H + padding), 0, H - 1)
    columns = np.clip(np.arange(-padding, W + padding), 0, W - 1)
    padded = images[:, :, rows][:, :, :, columns]
    return slow_conv2d(padded, weight, bias, stride, 0, dilation, groups)


@mutant("02.7", "dilation was not used")
def ignores_dilation(images, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    return slow_conv2d(images, weight, bias, stride, padding, 1, groups)


@mutant("02.7", "new here: dilation")
def dilates_rows_only(images, weight, bias=None, **sizes):
    return slow_conv2d(images, weight, bias, gaps=lambda d: (d, 1), **sizes)


@mutant("02.7", "dilation", "not dilation × k")
def counts_the_span_as_d_times_k(images, weight, bias=None, **sizes):
    span = {"span": lambda d, k: d * k if d > 1 else k, "refuses": False}
    return slow_conv2d(images, weight, bias, **span, **sizes)


@mutant("02.7", "bias was not added")
def forgets_the_bias(images, weight, bias=None, **sizes):
    return slow_conv2d(images, weight, **sizes)


@mutant("02.7", "bias")
def subtracts_the_bias(images, weight, bias=None, **sizes):
    return slow_conv2d(images, weight, None if bias is None else -bias, **sizes)


@mutant("02.7", "bias", "along the width")
def adds_the_bias_without_new_axes(images, weight, bias=None, **sizes):
    output = slow_conv2d(images, weight, **sizes)
    return output if bias is None else output + bias


@mutant("02.7", "bias", "once for every channel")
def adds_the_bias_once_per_channel(images, weight, bias=None, **sizes):
    return slow_conv2d(images, weight, None if bias is None else bias * weight.shape[1], **sizes)


@mutant("02.7", "a block of channels", "every groups-th channel")
def interleaves_the_groups(images, weight, bias=None, **sizes):
    every = {"channels": lambda g, groups, C: range(g, C, groups)}
    return slow_conv2d(images, weight, bias, **every, **sizes)


@mutant("02.7", "first group")
def shows_every_kernel_the_first_group(images, weight, bias=None, **sizes):
    return slow_conv2d(images, weight, bias, channels=lambda g, groups, C: range(C), **sizes)


@mutant("02.7", "two kernels to each channel")
def makes_one_kernel_per_channel(images, weight, bias=None, groups=1, **sizes):
    if groups == images.shape[1] > 1:
        weight, bias = weight[:groups], None if bias is None else bias[:groups]
    return slow_conv2d(images, weight, bias, groups=groups, **sizes)


@mutant("02.7", "two channels", "only the first channel")
def sees_the_first_channel_only(images, weight, bias=None, **sizes):
    return slow_conv2d(images[:, :1], weight[:, :1], bias, **sizes)


@mutant("02.7", "two channels")
def sums_kernel_over_channels_first(images, weight, bias=None, **sizes):
    mean = np.repeat(weight.mean(1, keepdims=True), weight.shape[1], axis=1)
    return slow_conv2d(images, mean, bias, **sizes)


@mutant("02.7", "a remainder", "not up")
def lets_the_last_window_hang_over(images, weight, bias=None, stride=1, padding=0, **sizes):
    extra = stride - 1
    sides = {"sides": lambda p: (p, p + extra, p, p + extra)}
    return slow_conv2d(images, weight, bias, stride, padding, **sides, **sizes)


@mutant("02.7", "two images")
def looks_at_the_first_image_only(images, weight, bias=None, **sizes):
    return slow_conv2d(images[:1], weight, bias, **sizes)


@mutant("02.7", "which axis is which")
def returns_channels_last(images, weight, bias=None, **sizes):
    return np.moveaxis(slow_conv2d(images, weight, bias, **sizes), 1, -1)


@mutant("02.7", "impossible one", "a ValueError")
def returns_an_empty_array_for_a_kernel_too_large(images, weight, bias=None, **sizes):
    return slow_conv2d(images, weight, bias, refuses=False, **sizes)


@mutant("02.7", "spans 4 pixels", "AssertionError", "assert spans", outcome="error")
def asserts_that_the_kernel_fits(images, weight, bias=None, padding=0, dilation=1, **sizes):
    spans = [dilation * (k - 1) + 1 for k in weight.shape[2:]]
    larger = [n + 2 * padding for n in images.shape[2:]]
    assert spans[0] <= larger[0] and spans[1] <= larger[1]  # noqa: PT018
    return slow_conv2d(images, weight, bias, padding=padding, dilation=dilation, **sizes)


@mutant("02.7", "every value is 0")
def returns_zeros_of_the_right_shape(images, weight, bias=None, **sizes):
    return slow_conv2d(images * 0, weight, None, **sizes)


@mutant("02.7", "NotImplementedError", "groups", outcome="error")
def stops_at_groups(images, weight, bias=None, groups=1, **sizes):
    if groups > 1:
        raise NotImplementedError("groups come tomorrow")
    return slow_conv2d(images, weight, bias, **sizes)


@mutant("02.7", "dtype", "float32")
def computes_in_single_precision(images, weight, bias=None, **sizes):
    return slow_conv2d(images.astype(np.float32), weight, bias, **sizes).astype(np.float32)


@mutant("02.7", "changed its input")
def flips_the_weight_in_place(images, weight, bias=None, **sizes):
    output = slow_conv2d(images, weight, bias, **sizes)
    weight[:] = weight[:, :, ::-1, ::-1].copy()
    images += 1
    return output


# 02.8 find_kernel(system, kernel_size)


def impulse_response(system, kernel_size):
    kh, kw = kernel_size
    image = np.zeros((2 * kh - 1, 2 * kw - 1))
    image[kh - 1, kw - 1] = 1
    return system(image)


def predicts(system, kernel, image):
    """Whether the kernel makes of this image what the system makes of it."""
    kh, kw = kernel.shape
    output = system(image)
    return all(
        np.isclose((image[r : r + kh, c : c + kw] * kernel).sum(), output[r, c])
        for r, c in np.ndindex(output.shape)
    )


@mutant("02.8", "turned by 180")
def returns_the_impulse_response(system, kernel_size):
    return impulse_response(system, kernel_size)


@mutant("02.8", "it is none", "an image of zeros")
def never_doubts(system, kernel_size):
    return impulse_response(system, kernel_size)[::-1, ::-1]


@mutant("02.8", "ReLU", "both signs")
def tries_positive_images_only(system, kernel_size):
    kernel = impulse_response(system, kernel_size)[::-1, ::-1]
    image = np.random.default_rng(3).random((9, 11)) * 5
    return kernel if predicts(system, kernel, image) else None


@mutant("02.8", "largest value of each window", "two bright pixels")
def tries_an_image_of_zeros_and_a_pixel(system, kernel_size):
    kernel = impulse_response(system, kernel_size)[::-1, ::-1]
    fits = predicts(system, kernel, np.zeros((8, 8)))
    pixel = np.zeros((9, 9))
    pixel[4, 4] = -1
    single = np.zeros((7, 7))
    single[3, 3] = 3
    negative = predicts(system, kernel, pixel) or np.all(kernel == 1)
    return kernel if fits and negative and predicts(system, kernel, single) else None


@mutant("02.8", "squared image", "other than 0 and 1")
def tries_zeros_and_ones_only(system, kernel_size):
    kernel = impulse_response(system, kernel_size)[::-1, ::-1]
    image = np.random.default_rng(5).integers(0, 2, (9, 9)) * 1.0
    return kernel if predicts(system, kernel, image) else None


@mutant("02.8", "median", "more pixels")
def tries_single_pixels_of_any_size(system, kernel_size):
    kernel = impulse_response(system, kernel_size)[::-1, ::-1]
    for value in (-2.0, 3.0):
        image = np.zeros((9, 9))
        image[4, 5] = value
        if not predicts(system, kernel, image):
            return None
    return kernel


@mutant("02.8", "fades", "elsewhere")
def checks_linearity_only(system, kernel_size):
    kernel = impulse_response(system, kernel_size)[::-1, ::-1]
    rng = np.random.default_rng(7)
    one, two = rng.normal(size=(2, 9, 9))
    linear = np.allclose(system(2 * one + two), 2 * system(one) + system(two))
    return kernel if linear else None


@mutant("02.8", "you returned None", "np.allclose")
def compares_exactly(system, kernel_size):
    kernel = impulse_response(system, kernel_size)[::-1, ::-1]
    image = np.random.default_rng(9).normal(size=(10, 10))
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel_size)
    predicted = (windows * kernel * 3 / 3).sum(axis=(3, 2))
    return kernel if np.array_equal(predicted, system(image)) else None


@mutant("02.8", "kernel of zeros is a kernel")
def refuses_a_kernel_of_zeros(system, kernel_size):
    kernel = impulse_response(system, kernel_size)[::-1, ::-1]
    image = np.random.default_rng(9).normal(size=(10, 10))
    return kernel if kernel.any() and predicts(system, kernel, image) else None


@mutant("02.8", "2 × 3", "size is wrong along axis 0")
def takes_every_kernel_for_three_by_three(system, kernel_size):
    image = np.zeros((5, 5))
    image[2, 2] = 1
    return system(image)[::-1, ::-1]


@mutant("02.8", "ValueError", "return system(image)", outcome="error")
def shows_too_small_an_image(system, kernel_size):
    image = np.zeros((kernel_size[0] - 1, kernel_size[1]))
    image[0, 0] = 1
    return system(image)


@mutant("02.8", "NumPy array is wanted", "list")
def returns_the_kernel_as_a_list(system, kernel_size):
    return impulse_response(system, kernel_size)[::-1, ::-1].tolist()


@mutant("02.8", "end in a return")
def prints_the_kernel(system, kernel_size):
    str(impulse_response(system, kernel_size)[::-1, ::-1])


@mutant("02.8", "mirrored left to right")
def turns_it_halfway(system, kernel_size):
    return impulse_response(system, kernel_size)[::-1]


@mutant("02.8", "transposed")
def transposes_the_kernel(system, kernel_size):
    return impulse_response(system, kernel_size)[::-1, ::-1].T


@mutant("02.8", "NumPy array is wanted", "AlwaysEqual")
def finds_what_equals_everything(system, kernel_size):
    return AlwaysEqual()


# right answers, written in another way than the solution


def filter_image_by_torch(image, kernel):
    import torch

    images, weight = torch.from_numpy(image)[None, None], torch.from_numpy(kernel)[None, None]
    return torch.nn.functional.conv2d(images, weight)[0, 0]  # a tensor


def filter_image_by_shifts(image, kernel):
    kh, kw = kernel.shape
    out_h, out_w = image.shape[0] - kh + 1, image.shape[1] - kw + 1
    shifted = (image[i : i + out_h, j : j + out_w] * kernel[i, j] for i, j in np.ndindex(kh, kw))
    return sum(shifted)


def kernels_by_torch():
    import torch

    shift, mean = torch.zeros(3, 3), torch.zeros(3, 3)
    shift[1, 0] = 1
    mean[[0, 1, 1, 2], [1, 0, 2, 1]] = 0.25
    contrast = torch.full((3, 3), -0.125)
    contrast[1, 1] += 1.125
    return [shift, mean, contrast]


def merge_by_fourier(first, second):
    size = [a + b - 1 for a, b in zip(first.shape, second.shape, strict=True)]
    return np.fft.irfft2(np.fft.rfft2(first, size) * np.fft.rfft2(second, size), size)


def merge_by_torch(first, second):
    import torch

    first, second = torch.from_numpy(first)[None, None], torch.from_numpy(second)[None, None]
    return torch.nn.functional.conv_transpose2d(first, second)[0, 0]


def split_by_largest_number(kernel):
    row, column = np.unravel_index(np.abs(kernel).argmax(), kernel.shape)
    parts = kernel[:, column], kernel[row] / kernel[row, column]
    if not np.allclose(np.outer(*parts), kernel):
        raise ValueError("not separable")
    return parts


def split_by_torch(kernel):
    import torch

    left, sizes, right = torch.linalg.svd(torch.from_numpy(kernel).float())
    if sizes[1] > 1e-4:
        raise ValueError("not separable")
    return [sizes[0] * left[:, :1], right[:1]]


def fit_by_torch(images, targets, kernel_size):
    import torch

    columns = torch.nn.functional.unfold(torch.from_numpy(images), kernel_size)
    rows = columns.transpose(1, 2).reshape(-1, columns.shape[1])
    rows = torch.cat([rows, torch.ones(len(rows), 1)], dim=1)
    wanted = torch.from_numpy(targets).permute(0, 2, 3, 1).reshape(len(rows), -1)
    found = torch.linalg.lstsq(rows, wanted).solution
    weight = found[:-1].T.reshape(targets.shape[1], images.shape[1], *kernel_size)
    return weight, found[-1]


def fit_by_pseudo_inverse(images, targets, kernel_size):
    found = fitted(images, targets, kernel_size)
    return [found[:-1].T.reshape(-1, images.shape[1], *kernel_size), found[-1]]


def im2col_by_loops(images, kernel_size, stride=1):
    N, C, H, W = images.shape
    kh, kw = kernel_size
    out_h, out_w = (H - kh) // stride + 1, (W - kw) // stride + 1
    columns = np.zeros((N, C * kh * kw, out_h * out_w))
    for n, c, i, j, r, s in np.ndindex(N, C, kh, kw, out_h, out_w):
        pixel = images[n, c, r * stride + i, s * stride + j]
        columns[n, (c * kh + i) * kw + j, r * out_w + s] = pixel
    return columns


def im2col_by_torch(images, kernel_size, stride=1):
    import torch

    return torch.nn.functional.unfold(torch.from_numpy(images), kernel_size, stride=stride)


def conv2d_by_torch(images, weight, bias=None, *, stride=1, padding=0, dilation=1, groups=1):
    import torch

    tensors = [None if a is None else torch.from_numpy(a) for a in (images, weight, bias)]
    try:
        return torch.nn.functional.conv2d(*tensors, stride, padding, dilation, groups)
    except RuntimeError as error:
        raise ValueError("the kernel does not fit") from error


def find_by_least_squares(system, kernel_size):
    kh, kw = kernel_size
    image = np.random.default_rng(1).normal(size=(20, 20))
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel_size).reshape(-1, kh * kw)
    output = system(image).ravel()
    kernel = np.linalg.lstsq(windows, output, rcond=None)[0]
    return kernel.reshape(kh, kw) if np.allclose(windows @ kernel, output) else None


ACCEPTED = [
    ("02.1", filter_image_by_torch),
    ("02.1", filter_image_by_shifts),
    ("02.2", kernels_by_torch),
    ("02.3", merge_by_fourier),
    ("02.3", merge_by_torch),
    ("02.4", split_by_largest_number),
    ("02.4", split_by_torch),
    ("02.5", fit_by_torch),
    ("02.5", fit_by_pseudo_inverse),
    ("02.6", im2col_by_loops),
    ("02.6", im2col_by_torch),
    ("02.7", conv2d_by_torch),
    ("02.7", slow_conv2d),
    ("02.8", find_by_least_squares),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_wrong_answer_is_rejected_and_its_cause_named(mutant):
    assert survives(mutant) == ""


@pytest.mark.parametrize(
    ("exercise_id", "answer"), ACCEPTED, ids=lambda p: getattr(p, "__name__", p)
)
def test_right_answer_in_another_way_is_accepted(exercise_id, answer):
    verdict = examine(exercise_id, answer)
    assert verdict.outcome == "correct", words(verdict)
