"""Notebook 07's checkers: wrong answers are rejected for the right reason, right ones accepted."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from cnnlib import data, layers, ops
from cnnlib.exercises import EXERCISES, examine
from cnnlib.exercises.nb07 import adam_step as adam_module
from cnnlib.exercises.nb07 import sgd_step as sgd_module
from cnnlib.exercises.nb07.diagnose import six_runs

from .mutants import Mutant, survives, words, wrong

MUTANTS: list[Mutant] = []
IDS = [name for name in EXERCISES if name.startswith("07.")]
ROOT = Path(__file__).resolve().parents[2]


def mutant(exercise_id, *says, outcome="not yet"):
    return wrong(MUTANTS, exercise_id, *says, outcome=outcome)


# 07.1 minibatches(num_images, batch_size, rng)


@mutant("07.1", "own order", "rng.permutation")
def does_not_shuffle(num_images, batch_size, rng):
    for start in range(0, num_images, batch_size):
        yield np.arange(start, min(start + batch_size, num_images))


@mutant("07.1", "1 of 7 images never occur", "left over")
def drops_the_last_short_batch(num_images, batch_size, rng):
    order = rng.permutation(num_images)
    for number in range(num_images // batch_size):
        yield order[number * batch_size : (number + 1) * batch_size]


@mutant("07.1", "times in one epoch", "with replacement")
def draws_with_replacement(num_images, batch_size, rng):
    for start in range(0, num_images, batch_size):
        yield rng.integers(0, num_images, min(batch_size, num_images - start))


@mutant("07.1", "times in one epoch", "shuffled anew for each batch")
def shuffles_anew_for_each_batch(num_images, batch_size, rng):
    for start in range(0, num_images, batch_size):
        yield rng.permutation(num_images)[start : start + batch_size]


@mutant("07.1", "same seed gave two orders", "np.random")
def uses_the_global_generator(num_images, batch_size, rng):
    order = np.random.default_rng().permutation(num_images)
    return [order[i : i + batch_size] for i in range(0, num_images, batch_size)]


@mutant("07.1", "Every epoch has the same order", "seeded, inside")
def makes_its_own_generator(num_images, batch_size, rng):
    order = np.random.default_rng(0).permutation(num_images)
    return [order[i : i + batch_size] for i in range(0, num_images, batch_size)]


@mutant("07.1", "neighbours", "same images always meet")
def shuffles_only_the_order_of_the_batches(num_images, batch_size, rng):
    starts = np.arange(0, num_images - num_images % batch_size, batch_size)
    rng.shuffle(starts)
    batches = [np.arange(start, start + batch_size) for start in starts]
    if num_images % batch_size:
        batches.append(np.arange(num_images - num_images % batch_size, num_images))
    return batches


@mutant("07.1", "neighbours", "inside each batch")
def shuffles_only_inside_the_batches(num_images, batch_size, rng):
    for start in range(0, num_images, batch_size):
        yield rng.permutation(np.arange(start, min(start + batch_size, num_images)))


@mutant("07.1", "dealt out evenly", "array_split")
def deals_the_images_out_evenly(num_images, batch_size, rng):
    return np.array_split(rng.permutation(num_images), -(-num_images // batch_size))


@mutant("07.1", "empty batch")
def ends_with_an_empty_batch(num_images, batch_size, rng):
    order = rng.permutation(num_images)
    for start in range(0, num_images + 1, batch_size):
        yield order[start : start + batch_size]


@mutant("07.1", "should be the last")
def puts_the_short_batch_first(num_images, batch_size, rng):
    order, left = rng.permutation(num_images), num_images % batch_size
    if left:
        yield order[:left]
    for start in range(left, num_images, batch_size):
        yield order[start : start + batch_size]


@mutant("07.1", "times in one epoch", "filled up")
def fills_up_the_last_batch(num_images, batch_size, rng):
    order = rng.permutation(num_images)
    for start in range(0, num_images, batch_size):
        yield np.resize(np.r_[order[start:], order], batch_size)


@mutant("07.1", "is no image", "counted from 0")
def counts_from_one(num_images, batch_size, rng):
    order = rng.permutation(num_images) + 1
    for start in range(0, num_images, batch_size):
        yield order[start : start + batch_size]


@mutant("07.1", "returned None", "yield")
def cuts_and_returns_nothing(num_images, batch_size, rng):
    order = rng.permutation(num_images)
    for start in range(0, num_images, batch_size):
        order[start : start + batch_size]


@mutant("07.1", "one by one")
def yields_single_indices(num_images, batch_size, rng):
    yield from rng.permutation(num_images)


@mutant("07.1", "one by one")
def returns_the_order_itself(num_images, batch_size, rng):
    return rng.permutation(num_images)


@mutant("07.1", "each batch", "return a list")
def returns_a_number(num_images, batch_size, rng):
    return len(range(0, num_images, batch_size))


# 07.2 sgd_step(parameters, gradients, velocity, lr, momentum, weight_decay)


def step_of(rule):
    """Apply rule(w, g, v, lr, momentum, weight_decay) -> (w, v) in place."""

    def answer(parameters, gradients, velocity, lr, momentum=0.0, weight_decay=0.0):
        for name in parameters:
            w, v = parameters[name], velocity[name]
            w[...], v[...] = rule(w, gradients[name], v.copy(), lr, momentum, weight_decay)

    answer.__name__ = rule.__name__
    return answer


def sgd_mutant(*says, outcome="not yet"):
    return lambda rule: mutant("07.2", *says, outcome=outcome)(step_of(rule))


@sgd_mutant("uphill")
def adds_the_gradient(w, g, v, lr, beta, decay):
    v = beta * v + g + decay * w
    return w + lr * v, v


@sgd_mutant("velocity has no effect")
def ignores_momentum(w, g, v, lr, beta, decay):
    return w - lr * (g + decay * w), v


@sgd_mutant("weight_decay was not used")
def ignores_weight_decay(w, g, v, lr, beta, decay):
    v = beta * v + g
    return w - lr * v, v


@sgd_mutant("does not go through the velocity", "AdamW")
def decays_apart_from_the_gradient(w, g, v, lr, beta, decay):
    v = beta * v + g
    return w * (1 - lr * decay) - lr * v, v


@sgd_mutant("running mean", "running sum")
def averages_the_velocity(w, g, v, lr, beta, decay):
    v = beta * v + (1 - beta) * (g + decay * w)
    return w - lr * v, v


@sgd_mutant("learning rate stands inside", "changes on the way")
def puts_the_rate_into_the_velocity(w, g, v, lr, beta, decay):
    v = beta * v - lr * (g + decay * w)
    return w + v, v


@sgd_mutant("old velocity")
def moves_before_it_updates(w, g, v, lr, beta, decay):
    return w - lr * v, beta * v + g + decay * w


@sgd_mutant("Nesterov")
def looks_ahead(w, g, v, lr, beta, decay):
    g = g + decay * w
    v = beta * v + g
    return w - lr * (g + beta * v), v


@sgd_mutant("wrong sign", "towards 0")
def pushes_weights_away_from_zero(w, g, v, lr, beta, decay):
    v = beta * v + g - decay * w
    return w - lr * v, v


@mutant("07.2", "No parameter has changed", "in place")
def rebinds_its_names(parameters, gradients, velocity, lr, momentum=0.0, weight_decay=0.0):
    for name, parameter in parameters.items():
        velocity[name] *= momentum
        velocity[name] += gradients[name] + weight_decay * parameter
        parameter = parameter - lr * velocity[name]


@mutant("07.2", "new array where the parameter was", "parameter[...]")
def replaces_the_arrays(parameters, gradients, velocity, lr, momentum=0.0, weight_decay=0.0):
    for name in parameters:
        velocity[name] *= momentum
        velocity[name] += gradients[name] + weight_decay * parameters[name]
        parameters[name] = parameters[name] - lr * velocity[name]


@mutant("07.2", "remembered", "velocity[name] *=")
def replaces_the_velocity(parameters, gradients, velocity, lr, momentum=0.0, weight_decay=0.0):
    for name in parameters:
        grad = gradients[name] + weight_decay * parameters[name]
        velocity[name] = momentum * velocity[name] + grad
        parameters[name] -= lr * velocity[name]


@mutant("07.2", "velocity has no effect")
def forgets_the_velocity(parameters, gradients, velocity, lr, momentum=0.0, weight_decay=0.0):
    for name in parameters:
        v = momentum * velocity[name] + gradients[name] + weight_decay * parameters[name]
        parameters[name] -= lr * v


@mutant("07.2", "changed the gradients", "gradient = gradient +")
def decays_in_the_gradient_array(
    parameters, gradients, velocity, lr, momentum=0.0, weight_decay=0.0
):
    for name, parameter in parameters.items():
        gradients[name] += weight_decay * parameter
        velocity[name] *= momentum
        velocity[name] += gradients[name]
        parameter -= lr * velocity[name]


@mutant("07.2", "returned instead", "inside them")
def returns_new_parameters(parameters, gradients, velocity, lr, momentum=0.0, weight_decay=0.0):
    return {name: w - lr * gradients[name] for name, w in parameters.items()}


@mutant("07.2", "not where torch's optimizer", "both")
def steps_only_the_weights(parameters, gradients, velocity, lr, momentum=0.0, weight_decay=0.0):
    for name in parameters:
        if name.endswith(("w", "weight")):
            velocity[name] *= momentum
            velocity[name] += gradients[name] + weight_decay * parameters[name]
            parameters[name] -= lr * velocity[name]


# 07.3 largest_lr(hessian_times, num_weights, momentum)


def power(hessian_times, num_weights, rounds=2000, start=None):
    """The largest eigenvalue, and the unit vector."""
    v = np.random.default_rng(9).normal(size=num_weights) if start is None else start
    for _ in range(rounds):
        v = v / np.linalg.norm(v)
        product = hessian_times(v)
        value, v = float(v @ product), product
    return value


@mutant("07.3", "λ itself")
def returns_the_steepness(hessian_times, num_weights, momentum=0.0):
    return power(hessian_times, num_weights)


@mutant("07.3", "1 / λ", "twice")
def returns_one_over_the_steepness(hessian_times, num_weights, momentum=0.0):
    return (1 + momentum) / power(hessian_times, num_weights)


@mutant("07.3", "momentum was not used", "momentum 0.9")
def ignores_the_momentum(hessian_times, num_weights, momentum=0.0):
    return 2 / power(hessian_times, num_weights)


@mutant("07.3", "1 / (1 − momentum)", "constant gradient")
def takes_the_effective_step(hessian_times, num_weights, momentum=0.0):
    return 2 / power(hessian_times, num_weights) / (1 - momentum)


@mutant("07.3", "raises the limit")
def lowers_the_limit(hessian_times, num_weights, momentum=0.0):
    return 2 * (1 - momentum) / power(hessian_times, num_weights)


@mutant("07.3", "all ones can miss", "random")
def starts_from_ones(hessian_times, num_weights, momentum=0.0):
    start = np.ones(num_weights)
    return 2 * (1 + momentum) / power(hessian_times, num_weights, start=start)


@mutant("07.3", "one axis", "random")
def starts_along_the_first_axis(hessian_times, num_weights, momentum=0.0):
    start = np.eye(num_weights)[0]
    return 2 * (1 + momentum) / power(hessian_times, num_weights, start=start)


@mutant("07.3", "smallest eigenvalue")
def takes_the_flattest_direction(hessian_times, num_weights, momentum=0.0):
    matrix = np.array([hessian_times(e) for e in np.eye(num_weights)])
    return 2 * (1 + momentum) / np.linalg.eigvalsh(matrix).min()


@mutant("07.3", "trace")
def adds_up_the_diagonal(hessian_times, num_weights, momentum=0.0):
    total = sum(hessian_times(e) @ e for e in np.eye(num_weights))
    return 2 * (1 + momentum) / total


@mutant("07.3", "Too few rounds", "settled")
def stops_after_five_rounds(hessian_times, num_weights, momentum=0.0):
    v = np.random.default_rng(0).standard_normal(num_weights)
    for _ in range(5):
        v = hessian_times(v / np.linalg.norm(v))
    return 2 * (1 + momentum) / np.linalg.norm(v)


@mutant("07.3", "overflow", "length")
def never_normalises(hessian_times, num_weights, momentum=0.0):
    v = np.random.default_rng(0).standard_normal(num_weights)
    with np.errstate(all="ignore"):
        for _ in range(1000):
            v = hessian_times(v)
        return 2 * (1 + momentum) / (np.linalg.norm(hessian_times(v)) / np.linalg.norm(v))


@mutant("07.3", "returned None", "return")
def returns_nothing(hessian_times, num_weights, momentum=0.0):
    power(hessian_times, num_weights)


# 07.4 kaiming_conv(in_channels, out_channels, kernel_size, groups, rng)


def scaled(rng, C, O, size, groups, scale):
    return scale * rng.standard_normal((O, C // groups, *size))


@mutant("07.4", "area is missing", "3 · 3")
def forgets_the_area(C, O, size, groups, rng):
    return scaled(rng, C, O, size, groups, np.sqrt(2 / (C // groups)))


@mutant("07.4", "in_channels / groups", "six groups")
def counts_all_channels(C, O, size, groups, rng):
    return scaled(rng, C, O, size, groups, np.sqrt(2 / (C * size[0] * size[1])))


@mutant("07.4", "fan_out")
def counts_the_outputs(C, O, size, groups, rng):
    return scaled(rng, C, O, size, groups, np.sqrt(2 / (O * size[0] * size[1])))


@mutant("07.4", "ReLU throws half away")
def forgets_the_two(C, O, size, groups, rng):
    return scaled(rng, C, O, size, groups, np.sqrt(1 / (C // groups * size[0] * size[1])))


@mutant("07.4", "square root", "variance")
def scales_by_the_variance(C, O, size, groups, rng):
    return scaled(rng, C, O, size, groups, 2 / (C // groups * size[0] * size[1]))


@mutant("07.4", "not scaled")
def does_not_scale(C, O, size, groups, rng):
    return scaled(rng, C, O, size, groups, 1.0)


@mutant("07.4", "Glorot")
def is_glorots_rule(C, O, size, groups, rng):
    area = size[0] * size[1]
    return scaled(rng, C, O, size, groups, np.sqrt(2 / ((C + O) // groups * area)))


@mutant("07.4", "not normal", "fourth moment")
def draws_uniform_numbers(C, O, size, groups, rng):
    bound = np.sqrt(6 / (C // groups * size[0] * size[1]))
    return rng.uniform(-bound, bound, (O, C // groups, *size))


@mutant("07.4", "a² / 3")
def takes_the_spread_for_the_bound(C, O, size, groups, rng):
    bound = np.sqrt(2 / (C // groups * size[0] * size[1]))
    return rng.uniform(-bound, bound, (O, C // groups, *size))


@mutant("07.4", "mean is not 0", "standard_normal")
def draws_from_zero_to_one(C, O, size, groups, rng):
    return rng.random((O, C // groups, *size)) * np.sqrt(2 / (C // groups * size[0] * size[1]))


@mutant("07.4", "in_channels / groups channels only")
def makes_kernels_for_all_channels(C, O, size, groups, rng):
    return rng.standard_normal((O, C, *size)) * np.sqrt(2 / (C // groups * size[0] * size[1]))


@mutant("07.4", "wrong order")
def puts_the_inputs_first(C, O, size, groups, rng):
    shape = (C // groups, O, *size)
    return rng.standard_normal(shape) * np.sqrt(2 / (C // groups * size[0] * size[1]))


@mutant("07.4", "do not follow the generator")
def uses_numpys_own_generator(C, O, size, groups, rng):
    return scaled(
        np.random.default_rng(), C, O, size, groups, np.sqrt(2 / (C // groups * size[0] * size[1]))
    )


@mutant("07.4", "do not follow the generator")
def seeds_its_own_generator(C, O, size, groups, rng):
    return scaled(
        np.random.default_rng(0), C, O, size, groups, np.sqrt(2 / (C // groups * size[0] * size[1]))
    )


@mutant("07.4", "returned None")
def returns_no_weights(C, O, size, groups, rng):
    scaled(rng, C, O, size, groups, 1.0)


# 07.5 diagnosis

RIGHT = {"A": "small", "B": "sorted", "C": "zeros", "D": "sign", "E": "fine", "F": "large"}
for name, answer, says in [
    ("zeros and large exchanged", RIGHT | {"C": "large", "F": "zeros"}, ("4 of 6", "2.303")),
    ("sign and large exchanged", RIGHT | {"D": "large", "F": "sign"}, ("4 of 6", "smoothly")),
    ("small and zeros exchanged", RIGHT | {"A": "zeros", "C": "small"}, ("4 of 6", "very slowly")),
    ("sorted taken for large", RIGHT | {"B": "large", "F": "sorted"}, ("ten times an epoch",)),
    ("one cause twice", RIGHT | {"F": "zeros"}, ("5 of 6", "zeros was given more than once")),
    ("one run forgotten", {k: v for k, v in RIGHT.items() if k != "D"}, ("Missing: D",)),
    ("one run too many", RIGHT | {"G": "fine"}, ("6 runs, A to F",)),
    ("a cause that is none", RIGHT | {"E": "good"}, ("Choose among", "'good'")),
    ("a number for a cause", RIGHT | {"E": 1}, ("Choose among", "1 is none")),
    ("a list", list(RIGHT.values()), ("dictionary is wanted",)),
    ("a string", "small sorted zeros sign fine large", ("dictionary is wanted",)),
    ("an array of causes", RIGHT | {"E": np.zeros(3)}, ("Choose among",)),
]:
    MUTANTS.append(Mutant("07.5", name, answer, says))


# 07.6 train_softmax(images, labels, seed)


def softmax_training(images, labels, seed, lr=0.2, epochs=8, B=32, shuffle=True, sign=1.0):
    rng, N = np.random.default_rng(seed), len(images)
    W, b = np.zeros((10, images.shape[1])), np.zeros(10)
    for epoch in range(epochs):
        order = rng.permutation(N) if shuffle else np.arange(N)
        for index in np.split(order, range(B, N, B)):
            scores = images[index] @ W.T + b
            p = np.exp(scores - scores.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            p[np.arange(len(index)), labels[index]] -= 1
            rate = sign * lr * (1 - epoch / epochs) / len(index)
            W, b = W - rate * p.T @ images[index], b - rate * p.sum(axis=0)
    return W, b


@mutant("07.6", "sorted by label", "in a random order", "shuffle")
def trains_in_the_given_order(images, labels, seed):
    return softmax_training(images, labels, seed, shuffle=False)


@mutant("07.6", "above log 10", "uphill")
def climbs(images, labels, seed):
    return softmax_training(images, labels, seed, lr=0.01, epochs=2, sign=-1.0)


@mutant("07.6", "still fall fast")
def stops_much_too_early(images, labels, seed):
    return softmax_training(images, labels, seed, lr=0.01, epochs=1)


@mutant("07.6", "still all zeros")
def never_takes_the_step(images, labels, seed):
    return np.zeros((10, 784)), np.zeros(10)


@mutant("07.6", "diverged", "not finite")
def overflows(images, labels, seed):
    W, b = softmax_training(images, labels, seed, epochs=1)
    return np.full_like(W, np.nan), b


@mutant("07.6", "wrong order")
def returns_the_weight_transposed(images, labels, seed):
    W, b = softmax_training(images, labels, seed, epochs=1)
    return W.T, b


@mutant("07.6", "2 results are wanted", "came back")
def returns_only_the_weight(images, labels, seed):
    return softmax_training(images, labels, seed, epochs=1)[0]


@mutant("07.6", "same seed gave two different results", "default_rng(seed)")
def ignores_the_seed(images, labels, seed):
    return softmax_training(images, labels, None, epochs=1)


@mutant("07.6", "changed its input", "copy")
def shuffles_the_input_itself(images, labels, seed):
    order = np.random.default_rng(seed).permutation(len(images))
    images[...], labels[...] = images[order], labels[order]
    return softmax_training(images, labels, seed)


@mutant("07.6", "off by one class")
def counts_classes_from_one(images, labels, seed):
    W, b = softmax_training(images, labels, seed)
    return np.roll(W, 1, axis=0), np.roll(b, 1)


@mutant("07.6", "by heart")
def fits_by_least_squares(images, labels, seed):
    rows = np.hstack([images, np.ones((len(images), 1))])
    found = np.linalg.lstsq(rows, np.eye(10)[labels], rcond=None)[0].T
    return found[:, :-1], found[:, -1]


@mutant("07.6", "all of the images")
def uses_the_first_batch_only(images, labels, seed):
    few = np.random.default_rng(seed).permutation(len(images))[:64]
    return softmax_training(images[few], labels[few], seed, epochs=40)


@mutant("07.6", "all ten rows", "same")
def gives_all_classes_the_same(images, labels, seed):
    return np.tile(images.mean(axis=0), (10, 1)), np.zeros(10)


# 07.7 train_step(parameters, velocity, images, labels, lr, momentum)


def own_step(p, velocity, images, labels, lr, momentum, *, fault=""):
    """A step in other words than the solution's: windows and matrix products."""
    N, C, H, W = images.shape
    O = len(p["0.bias"])
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    maps = np.einsum("nchwij,ocij->nohw", windows, p["0.weight"]) + p["0.bias"][:, None, None]
    active = np.maximum(maps, 0)
    blocks = active.reshape(N, O, H // 2, 2, W // 2, 2).transpose(0, 1, 2, 4, 3, 5)
    blocks = blocks.reshape(N, O, H // 2, W // 2, 4)
    pooled = blocks.mean(axis=4) if fault == "mean pool" else blocks.max(axis=4)
    features = pooled.reshape(N, -1)
    logits = features @ p["4.weight"].T + p["4.bias"]
    log_p = logits - logits.max(axis=1, keepdims=True)
    log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    losses = -log_p[np.arange(N), labels]
    grad = np.exp(log_p)
    if fault != "no one-hot":
        grad[np.arange(N), labels] -= 1
    if fault != "sum":
        grad /= N
    if fault == "twice":
        grad /= N
    grads = {"4.weight": grad.T @ features, "4.bias": grad.sum(axis=0)}
    back = (grad @ p["4.weight"]).reshape(N, O, H // 2, W // 2, 1)
    share = np.eye(4)[blocks.argmax(axis=4)]
    if fault == "all four":
        share = np.ones_like(share)
    if fault == "quarter":
        share = np.full_like(share, 0.25)
    back = (back * share).reshape(N, O, H // 2, W // 2, 2, 2).transpose(0, 1, 2, 4, 3, 5)
    back = back.reshape(N, O, H, W)
    if fault != "no mask":
        back = back * (maps > 0)
    grads["0.weight"] = np.einsum("nohw,nchwij->ocij", back, windows)
    if fault == "flipped":
        grads["0.weight"] = grads["0.weight"][..., ::-1, ::-1]
    grads["0.bias"] = back.sum(axis=(0, 2, 3))
    if fault == "no biases":
        del grads["0.bias"], grads["4.bias"]
    if fault == "only last":
        del grads["0.bias"], grads["0.weight"]
    for name, g in grads.items():
        old = 0 if fault == "no velocity" else momentum * velocity[name]
        velocity[name][...] = old + ((1 - momentum) if fault == "mean velocity" else 1) * g
        p[name][...] = p[name] + (lr if fault == "uphill" else -lr) * velocity[name]
    return losses.sum() if fault == "sum of losses" else losses.mean()


for fault, says in {
    "mean pool": ("mean of each 2 × 2",),
    "no one-hot": ("minus 1 at the label",),
    "sum": ("divided by N",),
    "twice": ("divided by N twice",),
    "all four": ("to all four pixels;",),
    "quarter": ("equal parts",),
    "no mask": ("ReLU is missing on the way back",),
    "flipped": ("180°",),
    "no biases": ("biases were not moved",),
    "only last": ("convolution was not moved",),
    "no velocity": ("velocity is forgotten", "step 2"),
    "mean velocity": ("running mean", "(1 − momentum)"),
    "uphill": ("uphill",),
    "sum of losses": ("sum of the losses",),
}.items():

    def faulty(p, velocity, images, labels, lr, momentum, fault=fault):
        return own_step(p, velocity, images, labels, lr, momentum, fault=fault)

    MUTANTS.append(Mutant("07.7", fault, faulty, says))


@mutant("07.7", "returned None")
def returns_no_loss(p, velocity, images, labels, lr, momentum):
    own_step(p, velocity, images, labels, lr, momentum)


@mutant("07.7", "new array where a parameter was")
def replaces_parameters(p, velocity, images, labels, lr, momentum):
    fresh = {name: array.copy() for name, array in p.items()}
    loss = own_step(fresh, velocity, images, labels, lr, momentum)
    p.update(fresh)
    return loss


@mutant("07.7", "moved before its weight was used")
def moves_the_last_layer_first(p, velocity, images, labels, lr, momentum):
    moved = {name: array.copy() for name, array in p.items()}
    own_step(moved, {k: v.copy() for k, v in velocity.items()}, images, labels, lr, momentum)
    maps = ops.conv2d(images, p["0.weight"], p["0.bias"], padding=1)
    active = ops.relu(maps)
    pooled = ops.max_pool2d(active, 2)
    logits = ops.linear(pooled.reshape(len(images), -1), p["4.weight"], p["4.bias"])
    loss = ops.softmax_cross_entropy(logits, labels)
    grad = ops.softmax_cross_entropy_backward(1.0, logits, labels)
    g_last = ops.linear_backward(grad, pooled.reshape(len(images), -1), p["4.weight"])
    back = (grad @ moved["4.weight"]).reshape(pooled.shape)
    back = ops.relu_backward(ops.max_pool2d_backward(back, active, 2), maps)
    g_conv = ops.conv2d_backward(back, images, p["0.weight"], padding=1)
    grads = dict(zip(p, (*g_conv[1:], *g_last[1:]), strict=True))
    for name, array in p.items():
        velocity[name][...] = momentum * velocity[name] + grads[name]
        array -= lr * velocity[name]
    return loss


@mutant("07.7", "loss after the step")
def returns_the_loss_after(p, velocity, images, labels, lr, momentum):
    own_step(p, velocity, images, labels, lr, momentum)
    fresh = {name: array.copy() for name, array in p.items()}
    return own_step(fresh, {k: v.copy() for k, v in velocity.items()}, images, labels, lr, momentum)


# 07.8 adam_step(parameters, gradients, mean, square, step, lr, betas, eps)


def adam(fault, p, g, m, s, step, lr, betas=(0.9, 0.999), eps=1e-8):
    b1, b2 = betas[::-1] if fault == "exchanged" else betas
    for k in p:
        m[k][...] = b1 * m[k] + (1 if fault == "sum" else 1 - b1) * g[k]
        s[k][...] = b2 * s[k] + (1 - b2) * (np.abs(g[k]) if fault == "absolute" else g[k] ** 2)
        t = step + 1 if fault == "from two" else step
        m_hat = m[k] if fault in ("none", "square only") else m[k] / (1 - b1**t)
        s_hat = s[k] if fault in ("none", "mean only") else s[k] / (1 - b2**t)
        if fault == "stored":
            m[k][...], s[k][...] = m_hat, s_hat
        root = s_hat if fault == "no root" else np.sqrt(s_hat)
        if fault == "inside":
            p[k][...] -= lr * m_hat / np.sqrt(s_hat + eps)
        elif fault == "early":
            p[k][...] -= lr * m_hat / ((np.sqrt(s[k]) + eps) / np.sqrt(1 - b2**t))
        elif fault == "current":
            p[k][...] -= lr * g[k] / (root + eps)
        else:
            p[k][...] += (lr if fault == "uphill" else -lr) * m_hat / (root + eps)


for fault, says in {
    "none": ("Neither of the running means is corrected",),
    "mean only": ("mean of the squares is not corrected",),
    "square only": ("mean of the gradient is not corrected",),
    "stored": ("corrected means were stored",),
    "inside": ("inside the root",),
    "early": ("before the correction",),
    "no root": ("its root is meant",),
    "absolute": ("of the squares of the gradients",),
    "sum": ("SGD's velocity",),
    "current": ("this batch only",),
    "uphill": ("uphill",),
    "exchanged": ("beta1 belongs to the mean",),
    "from two": ("one step ahead", "`step` is 1 in the first step"),
}.items():

    def faulty_adam(*args, fault=fault, **kwargs):
        return adam(fault, *args, **kwargs)

    MUTANTS.append(Mutant("07.8", fault, faulty_adam, says))


@mutant("07.8", "new array where the parameter was")
def adam_that_replaces(p, g, mean, square, step, lr, betas=(0.9, 0.999), eps=1e-8):
    fresh = {name: array.copy() for name, array in p.items()}
    adam("", fresh, g, mean, square, step, lr, betas, eps)
    p.update(fresh)


@mutant("07.8", "other betas")
def adam_with_fixed_betas(p, g, mean, square, step, lr, betas=(0.9, 0.999), eps=1e-8):
    adam("", p, g, mean, square, step, lr, (0.9, 0.999), eps)


@mutant("07.8", "large eps")
def adam_with_a_fixed_eps(p, g, mean, square, step, lr, betas=(0.9, 0.999), eps=1e-8):
    adam("", p, g, mean, square, step, lr, betas, 1e-8)


# 07.9 train_from(state, images, labels, num_steps)


class Training:
    """A training in other words than the solution's; `lost` says what it forgets."""

    def __init__(self, state, images, labels, lost=""):
        self.lost, self.seed = lost, state["seed"]
        self.images, self.labels = np.c_[images, np.ones(len(images))], labels
        self.w, self.v = np.zeros((3, 6)), np.zeros((3, 6))
        self.rng, self.queue = np.random.default_rng(self.seed), []
        if "weight" in state:
            self.w = np.c_[state["weight"], state["bias"]]
            self.v = np.array(state["v"]) if "velocity" not in lost else self.v
            if "rng" not in lost:
                self.rng.bit_generator.state = state["rng"]
            self.queue = list(state["queue"]) if "queue" not in lost else []

    def run(self, num_steps, batch_size=8, beta=0.9):
        for _ in range(num_steps):
            self.queue = self.queue or self.rng.permutation(len(self.images)).tolist()
            index, self.queue = self.queue[:batch_size], self.queue[batch_size:]
            if "short" in self.lost and len(self.queue) < batch_size:
                self.queue = []
            p = np.exp(self.images[index] @ self.w.T)
            p = p / p.sum(axis=1, keepdims=True) - np.eye(3)[self.labels[index]]
            self.v = beta * self.v + p.T @ self.images[index] / len(index)
            self.w = self.w - 0.1 * self.v
        return self.state()

    def state(self):
        found = {"seed": self.seed, "weight": self.w[:, :-1], "bias": self.w[:, -1]}
        found |= {"v": self.v.tolist(), "queue": self.queue}
        return found | {"rng": self.rng.bit_generator.state}


for lost, says in {
    "velocity": ("velocity is not in your state",),
    "rng": ("generator begins anew", "bit_generator.state"),
    "queue": ("forgets where in the epoch", "middle of an epoch"),
    "rng, queue": ("generator begins anew", "forgets where in the epoch"),
    "velocity, rng, queue": ("velocity is not in", "generator begins anew", "forgets where"),
    "velocity, queue": ("velocity is not in your state", "forgets where in the epoch"),
    "short": ("last batch of 4", "before any stop"),
}.items():

    def forgetful(state, images, labels, num_steps, lost=lost):
        return Training(state, images, labels, lost).run(num_steps)

    MUTANTS.append(Mutant("07.9", f"forgets {lost}", forgetful, says))


@mutant("07.9", "without pickle", "'rng' is", "bit_generator.state")
def keeps_the_generator_itself(state, images, labels, num_steps):
    training = Training({"seed": state["seed"]}, images, labels)
    return training.run(num_steps) | {"rng": training.rng}


@mutant("07.9", "changed the state it was given", "copies")
def writes_into_the_given_state(state, images, labels, num_steps):
    state.update(Training(state, images, labels).run(num_steps))
    return state


@mutant("07.9", "last bits", "another dtype")
def rounds_what_it_saves(state, images, labels, num_steps):
    after = Training(state, images, labels).run(num_steps)
    return after | {"v": np.round(after["v"], 9).tolist()}


@mutant("07.9", "momentum 0.9", "first step is right")
def trains_without_momentum(state, images, labels, num_steps):
    return Training(state, images, labels).run(num_steps, beta=0.0)


@mutant("07.9", "take the first 8")
def takes_batches_of_four(state, images, labels, num_steps):
    return Training(state, images, labels).run(num_steps, batch_size=4)


@mutant("07.9", "should hold 'bias'")
def keeps_weight_and_bias_in_one(state, images, labels, num_steps):
    after = Training(state, images, labels).run(num_steps)
    return {name: value for name, value in after.items() if name != "bias"}


@mutant("07.9", "new state is a dictionary")
def returns_the_weights_alone(state, images, labels, num_steps):
    after = Training(state, images, labels).run(num_steps)
    return after["weight"], after["bias"]


@mutant("07.9", "one more rng.permutation")
def uses_one_order_for_all_epochs(state, images, labels, num_steps):
    training = Training(state, images, labels)
    for _ in range(num_steps):
        if not training.queue:
            training.queue = np.random.default_rng(state["seed"]).permutation(20).tolist()
        training.run(1)
    return training.state()


# Right answers in other words


def batches_by_torch(num_images, batch_size, rng):
    import torch

    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    return [list(map(int, b)) for b in torch.randperm(num_images, generator=generator).split(batch_size)]  # fmt: skip # noqa: E501


def batches_by_sorting_noise(num_images, batch_size, rng):
    order = np.argsort(rng.random(num_images)).tolist()
    while order:
        yield np.array(order[:batch_size])
        order = order[batch_size:]


def sgd_by_torch(parameters, gradients, velocity, lr, momentum=0.0, weight_decay=0.0):
    import torch

    for name, array in parameters.items():
        w, v = torch.from_numpy(array), torch.from_numpy(velocity[name])
        v.mul_(momentum).add_(torch.from_numpy(gradients[name])).add_(w, alpha=weight_decay)
        w.sub_(v, alpha=lr)


def sgd_by_loops(parameters, gradients, velocity, lr, momentum=0.0, weight_decay=0.0):
    for name in list(parameters):
        for index in np.ndindex(parameters[name].shape):
            grad = gradients[name][index] + weight_decay * parameters[name][index]
            velocity[name][index] = momentum * velocity[name][index] + grad
            parameters[name][index] = parameters[name][index] - lr * velocity[name][index]
    return parameters


def limit_by_columns(hessian_times, num_weights, momentum=0.0):
    columns = [hessian_times(e) for e in np.eye(num_weights)]
    return (2 + 2 * momentum) / max(np.linalg.eigvalsh(np.array(columns)))


def limit_until_settled(hessian_times, num_weights, momentum=0.0):
    v, last = [0.3 + 0.7 * ((i * 0.618) % 1) * (-1) ** i for i in range(num_weights)], 0.0
    for _ in range(100_000):
        v = np.asarray(v) / np.linalg.norm(v)
        product = hessian_times(v)
        if abs(v @ product - last) < 1e-13 * last:
            break
        v, last = product, v @ product
    return np.float32(2 * (1 + momentum) / last)


def kaiming_by_torch(C, O, size, groups, rng):
    import torch

    torch.manual_seed(int(rng.integers(2**31)))
    weight = torch.empty(O, C // groups, *size)
    return torch.nn.init.kaiming_normal_(weight, nonlinearity="relu")


def kaiming_kernel_by_kernel(C, O, size, groups, rng):
    kernels = [layers.kaiming_normal((1, C // groups, *size), rng, np.float32) for _ in range(O)]
    return np.concatenate(kernels)


def softmax_with_momentum(images, labels, seed):
    model = layers.Sequential(layers.Linear(784, 10, rng=np.random.default_rng(seed)))
    optimizer, rng = layers.SGD(model, lr=0.03, momentum=0.9), np.random.default_rng(seed)
    for _ in range(300):
        index = rng.integers(0, len(images), 64)
        logits = model.forward(images[index].astype(np.float32))
        model.backward(ops.softmax_cross_entropy_backward(1.0, logits, labels[index]))
        optimizer.step()
    return list(model.parameters.values())


def softmax_by_torch(images, labels, seed):
    import torch

    images, labels = torch.from_numpy(images), torch.from_numpy(labels)
    W, b = torch.zeros(10, 784, dtype=torch.float64), torch.zeros(10, dtype=torch.float64)
    for _ in range(150):
        W.requires_grad_(), b.requires_grad_()
        loss = torch.nn.functional.cross_entropy(images @ W.T + b, labels)
        grads = torch.autograd.grad(loss, (W, b))
        W, b = (W - 0.5 * grads[0]).detach(), (b - 0.5 * grads[1]).detach()
    return W, b


def step_by_torch(p, velocity, images, labels, lr, momentum):
    import torch
    from torch.nn import functional as F

    w = {k: torch.from_numpy(a.copy()).requires_grad_() for k, a in p.items()}
    maps = F.conv2d(torch.from_numpy(images), w["0.weight"], w["0.bias"], padding=1)
    features = F.max_pool2d(F.relu(maps), 2).flatten(1)
    loss = F.cross_entropy(F.linear(features, w["4.weight"], w["4.bias"]), torch.from_numpy(labels))
    loss.backward()
    for name, array in p.items():
        velocity[name][...] = momentum * velocity[name] + w[name].grad.numpy()
        array -= lr * velocity[name]
    return loss


def adam_by_loops(parameters, gradients, mean, square, step, lr, betas=(0.9, 0.999), eps=1e-8):
    return adam("", parameters, gradients, mean, square, step, lr, betas, eps)


def adam_by_torch(p, g, mean, square, step, lr, betas=(0.9, 0.999), eps=1e-8):
    import torch

    for k in p:
        w, m, s, grad = (torch.from_numpy(a[k]) for a in (p, mean, square, g))
        m.lerp_(grad, 1 - betas[0])
        s.mul_(betas[1]).addcmul_(grad, grad, value=1 - betas[1])
        root = s.sqrt() / (1 - betas[1] ** step) ** 0.5 + eps
        w.addcdiv_(m, root, value=-lr / (1 - betas[0] ** step))


def resumes_from_a_queue(state, images, labels, num_steps):
    return Training(state, images, labels).run(num_steps)


def resumes_by_repeating_everything(state, images, labels, num_steps):
    """Slow, and right: the state is the number of steps done."""
    done = state.get("done", 0) + num_steps
    after = Training({"seed": state["seed"]}, images, labels).run(done)
    return {k: after[k] for k in ("seed", "weight", "bias")} | {"done": done}


ACCEPTED = [
    ("07.1", batches_by_torch),
    ("07.1", batches_by_sorting_noise),
    ("07.2", sgd_by_torch),
    ("07.2", sgd_by_loops),
    ("07.3", limit_by_columns),
    ("07.3", limit_until_settled),
    ("07.4", kaiming_by_torch),
    ("07.4", kaiming_kernel_by_kernel),
    ("07.5", {k.lower(): f" {v.upper()}" for k, v in RIGHT.items()}),
    ("07.6", softmax_training),
    ("07.6", softmax_with_momentum),
    ("07.6", softmax_by_torch),
    ("07.7", own_step),
    ("07.7", step_by_torch),
    ("07.8", adam_by_loops),
    ("07.8", adam_by_torch),
    ("07.9", resumes_from_a_queue),
    ("07.9", resumes_by_repeating_everything),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_wrong_answer_is_rejected_and_its_cause_named(mutant):
    assert survives(mutant) == ""


@pytest.mark.parametrize(
    ("exercise_id", "answer"), ACCEPTED, ids=lambda p: getattr(p, "__name__", str(p)[:8])
)
def test_right_answer_in_another_way_is_accepted(exercise_id, answer):
    verdict = examine(exercise_id, answer)
    assert verdict.outcome == "correct", words(verdict)


@pytest.mark.parametrize(
    ("module", "optimizer"), [(sgd_module, "SGD"), (adam_module, "Adam")], ids=["sgd", "adam"]
)
def test_the_oracles_are_torchs_optimizers(module, optimizer):
    import torch

    for run in module._runs():
        tensors = {k: torch.tensor(v, dtype=torch.float64) for k, v in run.parameters.items()}
        theirs = getattr(torch.optim, optimizer)(tensors.values(), lr=1.0, **run.settings)
        ours = module.by_history(run)
        for gradients, lr, after in zip(run.gradients, run.lrs, ours, strict=True):
            for name, tensor in tensors.items():
                tensor.grad = torch.tensor(gradients[name], dtype=torch.float64)
            theirs.param_groups[0]["lr"] = lr
            theirs.step()
            for name, tensor in tensors.items():
                np.testing.assert_allclose(after[name], tensor.numpy(), rtol=1e-10, atol=1e-10)


def test_diagnosis_is_not_attempted_as_it_ships():
    assert examine("07.5", None).outcome == "not attempted"


def test_the_six_runs_show_what_the_exercise_says_of_them(recwarn):
    runs = six_runs()
    guessing = np.log(10)
    ends = {letter: run[-30:].mean() for letter, run in runs.items()}
    assert all(np.isfinite(run).all() and len(run) == 150 for run in runs.values())
    assert runs["C"][0] == pytest.approx(guessing, abs=1e-6)  # zeros
    assert np.abs(runs["C"] - guessing).max() < 0.1
    assert guessing + 0.2 < runs["A"][0]
    assert runs["A"][:30].mean() > ends["A"] + 0.1 > 2
    assert np.count_nonzero((runs["B"][1:] > 1) & (runs["B"][:-1] < 0.5)) > 8  # sorted
    assert np.all(np.diff(runs["D"].reshape(15, 10).mean(axis=1)) > 0)
    assert ends["D"] > 100
    assert ends["E"] < 0.6  # fine
    assert runs["F"][:5].max() > runs["F"][0] + 0.5
    assert abs(ends["F"] - guessing) < 0.2
    assert not recwarn.list


def test_softmax_training_is_graded_on_digits_that_it_did_not_see():
    from cnnlib.exercises.nb07.train_softmax import held_out_split

    images, labels, test_images, test_labels = held_out_split()
    assert (images.shape, test_images.shape) == ((4000, 784), (2000, 784))
    assert np.all(np.diff(labels) >= 0)
    kept = data.load_mnist()
    assert np.array_equal(test_images * 255, kept.train_images[4000:6000].reshape(2000, 784))
    assert np.array_equal(np.bincount(labels), np.bincount(kept.train_labels[:4000]))


def test_benchmark_reaches_what_the_notebook_says():
    stored = json.loads((ROOT / "benchmarks" / "numpy_cnn.json").read_text(encoding="utf-8"))
    result = stored["result"]
    accs, text = result["test_acc"], (ROOT / "notebooks/text/07_training.md").read_text("utf-8")
    assert len(accs) == 5
    assert min(accs) >= 0.98
    assert max(result["train_s"]) <= 60
    assert result["mean"] == pytest.approx(np.mean(accs), abs=1e-5)
    assert result["std"] == pytest.approx(np.std(accs, ddof=1), abs=1e-5)
    said = re.search(r"gave ([\d.]+) on average with a standard deviation of ([\d.]+)", text)
    assert said, "the notebook states mean and spread"
    assert float(said[1]) == pytest.approx(result["mean"], abs=1e-4)
    assert float(said[2]) == pytest.approx(result["std"], abs=1e-4)
    recipes = stored["chosen_among"]["recipes"]
    assert recipes["taken"]["mean"] > recipes["a first try"]["mean"]
