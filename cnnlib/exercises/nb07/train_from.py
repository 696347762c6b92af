"""Exercise 07.9, Stop, and go on as if nothing had happened."""

import copy
import io
import itertools
import json

import numpy as np

from cnnlib import ops
from cnnlib.exercises.compare import as_numpy, kind, same, show, show_pair
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_yet, raised


def train_from(state, images, labels, num_steps):
    state = dict(state)
    rng = np.random.default_rng(state["seed"])
    if "weight" in state:  # go on
        rng.bit_generator.state = state["rng"]
        arrays = {name: state[name].copy() for name in ("weight", "bias", "v_weight", "v_bias")}
        order, start = state["order"], state["start"]
    else:  # begin
        shape = (3, images.shape[1])
        arrays = {"weight": np.zeros(shape), "bias": np.zeros(3)}
        arrays |= {"v_weight": np.zeros(shape), "v_bias": np.zeros(3)}
        order, start = np.arange(0), 0
    for _ in range(num_steps):
        if start >= len(order):  # a new epoch
            order, start = rng.permutation(len(images)), 0
        index = order[start : start + 8]
        start += 8
        logits = ops.linear(images[index], arrays["weight"], arrays["bias"])
        grad_logits = ops.softmax_cross_entropy_backward(1.0, logits, labels[index])
        _, *grads = ops.linear_backward(grad_logits, images[index], arrays["weight"])
        for name, grad in zip(("weight", "bias"), grads, strict=True):
            arrays[f"v_{name}"] = 0.9 * arrays[f"v_{name}"] + grad
            arrays[name] = arrays[name] - 0.1 * arrays[f"v_{name}"]
    place = {"rng": rng.bit_generator.state, "order": order, "start": start}
    return state | arrays | place


NUM_IMAGES, NUM_STEPS = 20, 8  # three batches an epoch: 8, 8 and 4


def _oracle(seed, images, labels, num_steps, cut=None, lost=()) -> dict[str, np.ndarray]:
    """The weights after num_steps steps, by other words; what is `lost` is forgotten at `cut`."""
    rng = np.random.default_rng(seed)
    ones = np.hstack([images, np.ones((len(images), 1))])
    weights, velocity = np.zeros((3, ones.shape[1])), np.zeros((3, ones.shape[1]))
    batches: list = []
    for step in range(num_steps):
        if step == cut:
            velocity = np.zeros_like(velocity) if "velocity" in lost else velocity
            rng = np.random.default_rng(seed) if "rng" in lost else rng
            batches = [] if "place" in lost else batches
        if not batches:
            batches = np.split(rng.permutation(len(ones)), [8, 16])
        index, *batches = batches
        scores = np.exp(ones[index] @ weights.T)
        probabilities = scores / scores.sum(axis=1, keepdims=True)
        grad = (probabilities - np.eye(3)[labels[index]]).T @ ones[index] / len(index)
        velocity = 0.9 * velocity + grad
        weights = weights - 0.1 * velocity
    return {"weight": weights[:, :-1], "bias": weights[:, -1]}


_LOST = {
    "velocity": "The velocity is not in your state: after the stop it begins at zero again.",
    "rng": "The generator begins anew at each call: its state (rng.bit_generator.state, a "
    "dictionary of plain numbers) has to be kept, or the first epoch's order comes again.",
    "place": "Your training forgets where in the epoch it was: after the stop it shuffles anew, "
    "so some images come twice and some not at all. Keep the order, and the place in it.",
}


def saved_and_loaded(state: dict) -> tuple[dict | None, str]:
    """The state after a way through a file, without pickle; or None, and what cannot be saved."""
    loaded = {}
    for name, value in state.items():
        value = as_numpy(value)
        try:
            if isinstance(value, np.ndarray | np.generic):
                file = io.BytesIO()
                np.save(file, np.asarray(value), allow_pickle=False)
                file.seek(0)
                loaded[name] = np.load(file, allow_pickle=False)
            else:
                loaded[name] = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            return None, f"{name!r} is {kind(value)}"
    return loaded, ""


def _data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(79)
    return rng.normal(size=(NUM_IMAGES, 5)), rng.integers(0, 3, NUM_IMAGES)


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    for seed, num_steps in ((0, 1), (0, 3), (0, 4), (5, NUM_STEPS)):
        case = ("case", f'state {{"seed": {seed}}}, {num_steps} steps')
        state, problem = _call(answer, {"seed": seed}, num_steps, case, attempted=num_steps > 1)
        if problem:
            return problem
        if problem := _wrong(state, _oracle(seed, *_data(), num_steps), num_steps, case):
            return problem
    whole = state
    for cut in (4, 5, 3, 6, 1, 2, 7):
        if problem := _resumed(answer, whole, cut):
            return problem
    return correct(f"{NUM_STEPS} steps in one go or with a stop after any of them: the same bits.")


def _call(answer, state, num_steps, case, attempted=True) -> tuple[dict, Verdict | None]:
    """The new state after a way through a file, and the verdict if there is no going on."""
    given, before = (copy.deepcopy(state) for _ in range(2))
    images, labels = _data()
    got, error = attempt(answer, (given, images, labels, num_steps))
    if error is not None:
        return {}, raised(error, case, attempted=attempted)
    if not isinstance(got, dict):
        cause = f"Your function returned {show(got)}: the new state is a dictionary."
        return {}, not_yet("Return the new state.", case, cause=cause)
    if given.keys() != before.keys() or not same(given, before):
        cause = "Who goes on twice from one saved state must get the same twice: work on copies."
        return {}, not_yet("Your function changed the state it was given.", case, cause=cause)
    if not same(_data(), (images, labels)):
        cause = "Work on copies of images and labels."
        return {}, not_yet("Your function changed its input.", case, cause=cause)
    loaded, unfit_part = saved_and_loaded(got)
    if loaded is None:
        return {}, not_yet(
            "The state cannot be saved without pickle.", case, ("got", unfit_part),
            cause="Keep arrays, numbers, strings, and dictionaries and lists of them. Of a "
            "generator keep rng.bit_generator.state.",
        )  # fmt: skip
    return loaded, None


def _wrong(state, expected, num_steps, case) -> Verdict | None:
    for name, value in expected.items():
        got = state.get(name)
        if not isinstance(got, np.ndarray) or got.shape != value.shape or got.dtype.kind != "f":
            cause = f"The state should hold {name!r}, floats of shape {value.shape}."
            found = f"shape {got.shape}" if isinstance(got, np.ndarray) else kind(got)
            return not_yet(f"There is no such {name}.", case, ("got", found), cause=cause)
        if not np.all(np.abs(got - value) <= 1e-9):
            pair = show_pair(value.ravel()[0], got.ravel()[0])
            return not_yet(
                f"The {name} differs, before any stop.", case,
                ("expected", f"{pair[0]} in its first place"), ("got", pair[1]),
                cause=_cause_of_training(num_steps),
            )  # fmt: skip
    return None


def _cause_of_training(num_steps: int) -> str:
    if num_steps == 1:
        return (
            "Begin with zeros; take the first 8 of default_rng(seed).permutation(20); lr 0.1. "
            "The mean loss, with its gradient divided by the size of the batch."
        )
    if num_steps == 3:
        return "The first step is right. Then: momentum 0.9, and a last batch of 4, divided by 4."
    return "The first epoch is right. At its end one more rng.permutation begins the next."


def _resumed(answer, whole: dict, cut: int) -> Verdict | None:
    """What is wrong with stopping after `cut` steps; None when it leaves no trace."""
    case = ("case", f'state {{"seed": 5}}, {cut} steps, saved and loaded, {NUM_STEPS - cut} more')
    middle, problem = _call(answer, {"seed": 5}, cut, case)
    if problem:
        return problem
    end, problem = _call(answer, middle, NUM_STEPS - cut, case)
    if problem:
        return problem
    names = ("weight", "bias")
    if all(np.array_equal(np.asarray(end.get(name)), whole[name]) for name in names):
        return None
    near = all(
        np.shape(end.get(n)) == whole[n].shape and np.allclose(end[n], whole[n]) for n in names
    )
    if near:
        cause = "Equal but for the last bits: is something rounded, or kept in another dtype?"
        return not_yet(_headline(cut), case, cause=cause)
    for count in (1, 2, 3):
        for lost in itertools.combinations(_LOST, count):
            theirs = _oracle(5, *_data(), NUM_STEPS, cut, lost)
            if all(
                np.shape(end.get(n)) == theirs[n].shape
                and np.allclose(end[n], theirs[n], rtol=0, atol=1e-9)
                for n in names
            ):
                says = " ".join(_LOST[part] for part in lost)
                return not_yet(_headline(cut), case, cause=says)
    cause = "Something of the training is not in the state: weights, velocity, the generator's "
    cause += "state, the order of this epoch, and the place in it."
    return not_yet(_headline(cut), case, cause=cause)


def _headline(cut: int) -> str:
    at = "at the end of an epoch" if cut % 3 == 0 else "in the middle of an epoch"
    return f"{cut} + {NUM_STEPS - cut} steps do not give what {NUM_STEPS} steps give (a stop {at})."


EXERCISE = Exercise(
    id="07.9",
    title="Stop, and go on as if nothing had happened",
    objective="save a training so that it goes on, bit by bit, as if it had never stopped",
    level=3,
    minutes=35,
    points=5,
    hints=(
        "Imagine that the machine is switched off after any step. What would you have to write "
        "down so that somebody else takes exactly the next step, with the same images?",
        "Five things: weights, velocity, the generator's state, this epoch's order, and the place "
        "in it. rng.bit_generator.state is a plain dictionary, and can be assigned to.",
        "When `start >= len(order)`, draw a new order and set start to 0; then take "
        "order[start : start + 8]. Return order and start with the rest, and copy all arrays.",
    ),
    solution=train_from,
    examine=_examine,
)
