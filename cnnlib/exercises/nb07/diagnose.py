"""Exercise 07.5, Six runs, six causes."""

import numpy as np

from cnnlib import data, layers, ops
from cnnlib.exercises.findings import examine_diagnosis
from cnnlib.exercises.verdicts import Exercise, Verdict

CAUSES = {
    "fine": "nothing is wrong",
    "small": "the learning rate is far too small",
    "large": "the learning rate is far too large",
    "zeros": "all weights began at zero",
    "sorted": "the images come sorted by their label",
    "sign": "the gradient has the wrong sign",
}

_ANSWER = {"A": "small", "B": "sorted", "C": "zeros", "D": "sign", "E": "fine", "F": "large"}
_SETTINGS = {
    "fine": {"lr": 0.1},
    "small": {"lr": 5e-4},
    "large": {"lr": 2.0},
    "zeros": {"lr": 0.1, "zeros": True},
    "sorted": {"lr": 0.1, "by_label": True},
    "sign": {"lr": -0.004},
}

# What there is to see in a run, said without naming the cause.
_CLUES = {
    "fine": "it falls fast at first and then ever more slowly, with the noise of the batches",
    "small": "it begins above log 10 and sinks, very slowly, but in the right direction",
    "large": "it jumps up within the first steps and ends at about log 10: what kills a network?",
    "zeros": "its very first loss is log 10 = 2.303 to all digits: which network gives that?",
    "sorted": "it is nearly 0 for some steps and then jumps, about ten times an epoch",
    "sign": "it grows smoothly from the first steps on, without jumping to and fro",
}


def six_runs(num_steps: int = 150) -> dict[str, np.ndarray]:
    """Train one small network six times, each time with another fault, or none.

    Returns:
        The loss of each batch, (num_steps,), for the runs "A" to "F".
    """
    digits = data.load_mnist()
    images = digits.train_images[:3000].astype(np.float32) / 255
    labels = digits.train_labels[:3000]
    return {
        letter: _run(images, labels, num_steps, **_SETTINGS[cause])
        for letter, cause in _ANSWER.items()
    }


def _run(images, labels, num_steps, *, lr, zeros=False, by_label=False) -> np.ndarray:
    rng = np.random.default_rng(0)
    model = layers.Sequential(
        layers.Conv2d(1, 6, 5, stride=2, rng=rng),
        layers.ReLU(),
        layers.Flatten(),
        layers.Linear(6 * 12 * 12, 10, rng=rng),
    )
    if zeros:
        for parameter in model.parameters.values():
            parameter[...] = 0
    order = np.argsort(labels, kind="stable") if by_label else rng.permutation(len(labels))
    optimizer, losses = layers.SGD(model, lr=lr), []
    for step in range(num_steps):
        index = order.take(np.arange(32 * step, 32 * step + 32), mode="wrap")
        logits = model.forward(images[index])
        losses.append(float(ops.softmax_cross_entropy(logits, labels[index])))
        model.backward(ops.softmax_cross_entropy_backward(1.0, logits, labels[index]))
        optimizer.step()
    return np.array(losses)


def _examine(answer) -> Verdict:
    praise = "Six of six. Four of these can be told within thirty steps of training."
    return examine_diagnosis(answer, _ANSWER, CAUSES, _CLUES, praise=praise)


EXERCISE = Exercise(
    id="07.5",
    title="Six runs, six causes",
    objective="tell from a loss curve what went wrong in a training",
    level=2,
    minutes=10,
    points=3,
    hints=(
        "Look at the first value before anything else. A network that spreads its guesses evenly "
        "has a loss of log 10 = 2.303; random weights begin a little above.",
        "Two runs end near 2.3. One never was anywhere else; the other was, and lost what it had. "
        "One run grows: does it grow smoothly, or does it jump?",
        "A run in which every batch holds one class only is easy for a while, until the next "
        "class comes.",
    ),
    solution="diagnosis = " + repr(_ANSWER).replace("'", '"'),
    examine=_examine,
)
