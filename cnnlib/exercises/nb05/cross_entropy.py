"""Exercise 05.4, The loss, straight from the scores."""

import numpy as np

from cnnlib.exercises.compare import show
from cnnlib.exercises.engine import attempt, examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception, Verdict, not_yet, raised


def cross_entropy(logits, labels):
    N, num_classes = logits.shape
    if labels.dtype.kind not in "iu":
        raise TypeError(f"expected integer labels, got {labels.dtype}")
    if labels.shape != (N,):
        raise ValueError(f"expected labels ({N},), got {labels.shape}")
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(f"expected labels of 0 to {num_classes - 1}")
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1))  # (N,)
    return np.mean(log_sum - shifted[np.arange(N), labels])


def _torch_loss(logits, labels):
    import torch

    scores, classes = torch.from_numpy(logits.astype(np.float64)), torch.from_numpy(labels * 1)
    loss = torch.nn.functional.cross_entropy(scores, classes).item()
    return logits.dtype.type(loss)  # in float32 the comparison is as coarse as float32 is


def _cases():
    rng = np.random.default_rng(53)
    yield Case((np.array([[0.0, 0.0]]), np.array([1])), {}, "nothing known of two classes")
    yield Case((np.array([[2.0, 1.0, 0.0]]), np.array([1])), {}, "one image")
    logits = np.array([[3.0, 0.0], [0.0, 1.0], [2.0, 2.0]])
    yield Case((logits, np.array([0, 0, 1])), {}, "three images")
    yield Case((rng.normal(size=(4, 4)), np.array([3, 0, 0, 2])), {}, "as many images as classes")
    yield Case((np.array([[1000.0, 998.0]]), np.array([1])), {}, "large scores")
    yield Case((np.array([[0.0, 900.0]]), np.array([0])), {}, "a certain answer that is wrong")
    yield Case((np.array([[0.0, 60.0]]), np.array([0])), {}, "a probability of 1e-26")
    yield Case((np.array([[-900.0, 0.0], [5.0, 1.0]]), np.array([1, 0])), {}, "rows far apart")
    small = np.array([[0.0, 200.0], [1.0, 3.0]], dtype=np.float32)
    yield Case((small, np.array([0, 1])), {}, "float32, where the probability is 0")
    yield Case((rng.normal(0, 4, size=(30, 10)), rng.integers(0, 10, 30)), {}, "ten classes")


def _with_probabilities(finish):
    """A wrong answer from the probabilities (N, K), the labels and the place of each label."""

    def wrong(logits, labels):
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return finish(powers / powers.sum(axis=1, keepdims=True), labels, np.arange(len(labels)))

    return wrong


def _with_transposed(logits, labels):
    """Softmax over axis 0."""
    powers = np.exp(logits - logits.max(axis=0))
    return -np.log(powers / powers.sum(axis=0))[np.arange(len(labels)), labels].mean()


def _naive(logits, labels):
    powers = np.exp(logits)
    right = powers[np.arange(len(labels)), labels] / powers.sum(axis=1)
    return -np.log(right).mean()


MISCONCEPTIONS = (
    Misconception(
        _naive,
        "np.exp of a large score is ∞. Subtract each row's largest score first.",
    ),
    Misconception(
        _with_probabilities(lambda p, y, n: -np.log(p[n, y]).mean()),
        "The probability was computed first and its logarithm afterwards. Where the probability "
        "rounds to 0 the loss becomes ∞: stay with logarithms, log Σ e^z minus the right score.",
    ),
    *(
        Misconception(
            _with_probabilities(lambda p, y, n, e=e: -np.log(p[n, y] + e).mean()),
            "A small number was added inside the logarithm, which caps the loss: it hides how "
            "wrong the answer is. log Σ e^z minus the right score needs no rescue.",
        )
        for e in (1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 1e-16)
    ),
    *(
        Misconception(
            _with_probabilities(lambda p, y, n, e=e: -np.log(np.maximum(p[n, y], e)).mean()),
            "The probability was kept away from 0 by force, which caps the loss. log Σ e^z minus "
            "the right score needs no rescue.",
        )
        for e in (1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15, 1e-16)
    ),
    Misconception(
        lambda logits, labels: cross_entropy(logits, labels) * len(labels),
        "This is the sum over the batch; the loss is the mean.",
    ),
    Misconception(
        lambda logits, labels: np.array(
            [cross_entropy(logits[n : n + 1], labels[n : n + 1]) for n in range(len(labels))]
        ),
        "These are the losses of the single images, (N,). One number is wanted, their mean.",
    ),
    Misconception(
        _with_transposed,
        "The softmax was taken over the batch, axis 0. Each image, a row, has its own: axis 1.",
    ),
    Misconception(
        lambda logits, labels: -cross_entropy(logits, labels),
        "The sign is turned: a loss is small when all is well, and never below 0.",
    ),
    Misconception(
        lambda logits, labels: cross_entropy(logits, labels) / np.log(2),
        "The logarithm is to base 2. The loss uses the natural one, np.log.",
    ),
    Misconception(
        lambda logits, labels: cross_entropy(logits, labels) / np.log(10),
        "The logarithm is to base 10. The loss uses the natural one, np.log.",
    ),
    Misconception(
        lambda logits, labels: cross_entropy(logits, labels) / logits.shape[1],
        "Divided by the number of classes too; the mean is over the images alone.",
    ),
    Misconception(
        _with_probabilities(lambda p, y, n: -np.log(p[:, y]).mean()),
        "p[:, labels] takes every label's column for every image, N × N numbers. One for each "
        "image is wanted: [np.arange(N), labels].",
    ),
    Misconception(
        _with_probabilities(lambda p, y, n: -np.log(p.max(axis=1)).mean()),
        "The largest probability was used, whatever the label: a wrong answer costs nothing then.",
    ),
    Misconception(
        _with_probabilities(lambda p, y, n: -p[n, y].mean()),
        "The logarithm is missing.",
    ),
    Misconception(
        _with_probabilities(lambda p, y, n: (1 - p[n, y]).mean()),
        "This is 1 − p, which is never above 1. Surprise is −log p: it has no upper limit.",
    ),
    Misconception(
        _with_probabilities(lambda p, y, n: -(p * np.log(p)).sum(axis=1).mean()),
        "This is the entropy of the network's own answer; the labels were not used.",
    ),
    Misconception(
        _with_probabilities(lambda p, y, n: cross_entropy(p, y)),
        "Softmax was applied twice: the probabilities were treated as scores.",
    ),
    Misconception(
        lambda logits, labels: np.mean(
            np.log(np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1))
            - logits[np.arange(len(labels)), labels]
        ),
        "The maximum was subtracted inside the sum and not from the right score. Use the shifted "
        "scores in both places, or add the maximum back.",
    ),
)


def _label_checks():
    """(labels, error that is due, what is wrong with them, what happens when nobody looks)."""
    yield (
        np.array([0, -1]),
        ValueError,
        "labels [0, −1]",
        "−1 is no class, but to NumPy it is the last column: the loss looks fine and teaches "
        "nonsense. Check that no label is below 0.",
    )
    yield (
        np.array([0, 3]),
        ValueError,
        "labels [0, 3] for 3 classes",
        "Classes are counted from 0, so the largest label allowed is num_classes − 1.",
    )
    yield (
        np.array([0]),
        ValueError,
        "1 label for 2 images",
        "NumPy repeats a single label for all images without a word. Compare labels.shape with "
        "(N,).",
    )
    yield (
        np.array([[0], [1]]),
        ValueError,
        "labels of shape (2, 1)",
        "With a column of labels NumPy pairs every image with every label. Compare labels.shape "
        "with (N,).",
    )
    yield (
        np.array([[1, 0, 0], [0, 1, 0]]),
        ValueError,
        "one-hot rows of shape (2, 3)",
        "One-hot rows are not class numbers; indexing with them means something else. Compare "
        "labels.shape with (N,).",
    )
    yield (
        np.array([0.0, 1.0]),
        TypeError,
        "labels of float64",
        "Labels are class numbers: labels.dtype.kind is 'i' or 'u'. A float here is usually a "
        "sign that two arguments were exchanged.",
    )


def _examine(answer) -> Verdict:
    with np.errstate(all="ignore"):  # the verdict says what overflowed
        verdict = examine_function(
            answer, cases=_cases, oracle=_torch_loss, misconceptions=MISCONCEPTIONS
        )
        if verdict.outcome != "correct":
            return verdict
        for labels, due, what, why in _label_checks():
            logits = np.array([[1.0, 0.0, 2.0], [0.0, 3.0, 1.0]])
            got, error = attempt(answer, (logits, labels))
            case = ("case", f"{what}, with logits of shape (2, 3)")
            expected = ("expected", f"a {due.__name__}")
            if error is None:
                return not_yet(
                    "The loss is right for good labels. Bad labels went through:",
                    case,
                    expected,
                    ("got", show(got)),
                    cause=why,
                )
            if not isinstance(error, due):
                wrong = raised(error, case, expected, attempted=True)
                if isinstance(error, AssertionError):
                    why = f"assert always raises AssertionError: if …: raise {due.__name__}(…)."
                return not_yet(
                    "Bad labels were refused, with another error than was asked for.",
                    *wrong.details,
                    ("got", wrong.headline),
                    cause=why,
                )
    return verdict


EXERCISE = Exercise(
    id="05.4",
    title="The loss, straight from the scores",
    objective="compute the cross-entropy without ever forming a probability, and refuse bad labels",
    level=2,
    minutes=20,
    points=3,
    hints=(
        "The loss of one image is log Σ e^z minus the score of the right class. Shift the row "
        "first, so that its largest score is 0.",
        "shifted[np.arange(N), labels] picks one score from each row: (N,).",
        "Before any of it: labels.dtype.kind in 'iu', else TypeError; labels.shape == (N,), and "
        "all of them from 0 to num_classes − 1, else ValueError.",
    ),
    solution=cross_entropy,
    examine=_examine,
)
