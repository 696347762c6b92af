"""From scores to probabilities, and from probabilities to one number to make small."""

import numpy as np

from cnnlib.ops.checks import check_features


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities from scores: positive, and every row adds up to one.

    Args:
        logits: (N, num_classes), float32 or float64.

    Returns:
        (N, num_classes), of the same dtype. The largest score of each row is subtracted first,
        which changes nothing but keeps the exponentials from overflowing.

    Raises:
        TypeError: not a NumPy array of float32 or float64.
        ValueError: not a matrix.

    Example:
        >>> softmax(np.array([[1000.0, 1000.0]]))
        array([[0.5, 0.5]])

    Taught in notebook 05.
    """
    return np.exp(log_softmax(logits))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities, right even where the probabilities round to zero.

    Args:
        logits: (N, num_classes), float32 or float64.

    Returns:
        (N, num_classes), of the same dtype.

    Raises:
        TypeError: not a NumPy array of float32 or float64.
        ValueError: not a matrix.

    Example:
        >>> log_softmax(np.array([[0.0, 2000.0]]))
        array([[-2000.,     0.]])

    Taught in notebook 05.
    """
    check_features(logits, "logits")
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def softmax_cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.floating:
    """Mean surprise at the right answers: minus the logarithm of their probabilities.

    Args:
        logits: (N, num_classes), float32 or float64.
        labels: (N,) integers, 0 to num_classes - 1.

    Returns:
        The loss, a scalar of the logits' dtype: 0 when all are surely right, log(num_classes)
        for a network that knows nothing.

    Raises:
        TypeError: not NumPy arrays, or labels that are not integers.
        ValueError: shapes that do not go together, an empty batch, or a label out of range.

    Example:
        >>> softmax_cross_entropy(np.zeros((3, 10)), np.array([0, 5, 9])).round(4)
        np.float64(2.3026)

    Taught in notebook 05.
    """
    check_labels(logits, labels)
    return -log_softmax(logits)[np.arange(len(labels)), labels].mean()


def softmax_cross_entropy_backward(
    grad_out: float, logits: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """The gradient of the mean loss: (probabilities minus the right answers) / N.

    Args:
        grad_out: the gradient of what is made small with respect to the loss; 1 if it is the loss.
        logits, labels: those of the call to softmax_cross_entropy.

    Returns:
        grad_logits (N, num_classes), of the logits' dtype; every row adds up to zero.

    Raises:
        TypeError: not NumPy arrays, labels that are not integers, or a grad_out that is not one
            number.
        ValueError: shapes that do not go together, an empty batch, or a label out of range.

    Example:
        >>> softmax_cross_entropy_backward(1.0, np.zeros((1, 4)), np.array([2]))
        array([[ 0.25,  0.25, -0.75,  0.25]])

    Taught in notebook 06.
    """
    check_labels(logits, labels)
    if np.ndim(grad_out) != 0 or np.asarray(grad_out).dtype.kind not in "iuf":
        raise TypeError(
            f"expected grad_out as one number, since the loss is one, got {grad_out!r}; "
            "it is 1 if the loss itself is made small"
        )
    grad_logits = softmax(logits)
    grad_logits[np.arange(len(labels)), labels] -= 1
    grad_logits *= logits.dtype.type(grad_out) / len(labels)
    return grad_logits


def check_labels(logits: np.ndarray, labels: np.ndarray) -> None:
    """Raise an error unless there is one class number for each row of logits."""
    N, num_classes = check_features(logits, "logits")
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu":
        got = labels.dtype if isinstance(labels, np.ndarray) else type(labels).__name__
        raise TypeError(
            f"expected labels as a NumPy array of integers, got {got}; one-hot rows become class "
            "numbers with labels.argmax(axis=1)"
        )
    if labels.shape != (N,) or N == 0:
        raise ValueError(
            f"expected labels ({N},) for logits {logits.shape}, at least one, got {labels.shape}"
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"expected labels of 0 to {num_classes - 1}, got {labels.min()} to {labels.max()}"
        )
