"""Exercise 02.8, Is it a convolution?"""

import numpy as np

from cnnlib.exercises.compare import any_wrong, differs, pattern, show_pair, structure
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_yet, raised


def find_kernel(system, kernel_size):
    kh, kw = kernel_size
    impulse = np.zeros((2 * kh - 1, 2 * kw - 1))
    impulse[kh - 1, kw - 1] = 1
    kernel = system(impulse)[::-1, ::-1]
    image = np.random.default_rng(0).normal(size=(4 * kh, 5 * kw))
    windows = np.lib.stride_tricks.sliding_window_view(image, kernel_size)
    expected = np.einsum("rcij,ij->rc", windows, kernel)
    return kernel if np.allclose(system(image), expected) else None


def _filter(image, kernel):
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(image, dtype=float), kernel.shape)
    return np.einsum("rcij,ij->rc", windows, kernel)


def _windows_of(image, size):
    return np.lib.stride_tricks.sliding_window_view(np.asarray(image, dtype=float), size)


_K = np.array([[2.0, -1, 0], [0, 3, 1], [0.5, 0, -2]])
_POSITIVE = np.array([[1.0, 2, 0], [0, 3, 1], [0.5, 0, 2]])


def _vignette(image):
    output = _filter(image, _K)
    distance = np.hypot(*np.ogrid[tuple(slice(-1, 1, n * 1j) for n in output.shape)])
    return output / (1 + distance**2)


# (what it is in words, the system, kernel size, whether it is one kernel)
SYSTEMS = (
    ("a 3 × 3 kernel", lambda image: _filter(image, _K), (3, 3), _K),
    ("a 2 × 3 kernel", lambda image: _filter(image, _K[:2]), (2, 3), _K[:2]),
    ("a 3 × 3 kernel of zeros", lambda image: _filter(image, _K * 0), (3, 3), _K * 0),
    (
        "two kernels one after the other, 3 × 3 in all",
        lambda image: _filter(_filter(image, _K[:2, :2]), _K[1:, 1:]),
        (3, 3),
        np.array([[6.0, -1, -1], [0, 5, 5], [0, 0, -6]]),
    ),
    ("a kernel and then + 1", lambda image: _filter(image, _K) + 1, (3, 3), None),
    ("a kernel applied to the squared image", lambda i: _filter(np.square(i), _K), (3, 3), None),
    (
        "a kernel and then ReLU",
        lambda image: np.maximum(_filter(image, _POSITIVE), 0),
        (3, 3),
        None,
    ),
    (
        "the largest value of each window",
        lambda i: _windows_of(i, (3, 3)).max((-2, -1)),
        (3, 3),
        None,
    ),
    (
        "the median of each window",
        lambda i: np.median(_windows_of(i, (3, 3)), (-2, -1)),
        (3, 3),
        None,
    ),
    ("a kernel that fades towards the border", _vignette, (3, 3), None),
)

_FOOLED = {
    "a kernel and then + 1": "A kernel of any kind gives 0 for an image of zeros: does yours look?",
    "a kernel and then ReLU": "A single bright pixel never makes this output negative, so a test "
    "with one bright pixel cannot tell. Try an image with values of both signs.",
    "the largest value of each window": "One bright pixel gives nine ones, as a kernel of ones "
    "would. Two bright pixels tell the two apart.",
    "the median of each window": "One bright pixel vanishes, as with a kernel of zeros. More "
    "pixels tell.",
    "a kernel applied to the squared image": "1² is 1: a bright pixel of 1 cannot show the square. "
    "Use values other than 0 and 1.",
    "a kernel that fades towards the border": "In the middle of the image it is a kernel; "
    "elsewhere it is weaker. Compare a whole image of random values.",
}


def _examine_find(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    for number, (words, system, size, kernel) in enumerate(SYSTEMS):
        case = ("case", f"the system is {words}; kernel_size={size}")
        got, error = attempt(answer, (system, size))
        if error:
            return raised(error, case, attempted=number > 0)
        problem = _wrong_find(got, kernel)
        if problem:
            headline, cause = problem
            shown = zip(("expected", "got"), show_pair(kernel, got), strict=True)
            return not_yet(headline, case, *shown, cause=cause or _FOOLED[words])
    return correct("4 kernels found, 6 impostors refused.")


def _wrong_find(got, kernel) -> tuple[str, str] | None:
    """What is wrong with `got`, and its cause where that does not depend on the system."""
    if kernel is None:
        return None if got is None else ("You took this for a convolution; it is none.", "")
    if got is None:
        return "This is a convolution; you returned None.", (
            "Does every way through your function end in a return? If a comparison decided, use "
            "np.allclose, not ==."
            if kernel.any()
            else "A kernel of zeros is a kernel too, even if a bright pixel vanishes."
        )
    if problem := structure(got, kernel):
        return "The kernel should be an array of shape kernel_size.", problem
    if not any_wrong(differs(got, kernel, 1e-8)):
        return None
    if not any_wrong(differs(got[::-1, ::-1], kernel, 1e-8)):
        return "Not the kernel.", (
            "It is turned by 180°: a bright pixel comes out as the kernel turned about, as you "
            "saw above. Turn it back."
        )
    general = pattern(got, kernel, 1e-8)
    return (
        "Not the kernel.",
        general or "Where does one bright pixel put each number of the kernel?",
    )


EXERCISE = Exercise(
    id="02.8",
    title="Is it a convolution?",
    objective="tell a convolution from anything else by what it does, and read off its kernel",
    level=3,
    minutes=25,
    points=5,
    hints=(
        "What does a system of one kernel make of a single bright pixel? You saw it above. The "
        "image has to be large enough that every kernel position can meet the pixel.",
        "Having a suspect is not a proof: what would your kernel make of a random image, with "
        "values of both signs, and what does the system make of it?",
        "A pixel of 1 in the middle of zeros of size (2kh − 1, 2kw − 1) gives the kernel turned "
        "by 180°. Return it only if system(image) is what it predicts for random numbers.",
    ),
    solution=find_kernel,
    examine=_examine_find,
)
