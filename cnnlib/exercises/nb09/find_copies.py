"""Exercise 09.9, Have we met before?"""

import time

import numpy as np

from cnnlib.exercises.compare import kind, show
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_attempted, not_yet, raised

BUDGET_S = 30.0


def find_copies(images, others, max_shift):
    N, C, H, W = images.shape
    places = {}  # the bytes of a changed image -> the numbers of the images that it came from
    padded = np.pad(images, ((0, 0), (0, 0), (max_shift,) * 2, (max_shift,) * 2))
    for row in range(2 * max_shift + 1):
        for column in range(2 * max_shift + 1):
            moved = padded[:, :, row : row + H, column : column + W]
            for i, image in enumerate(moved):
                places.setdefault(image.tobytes(), set()).add(i)
                places.setdefault((255 - image).tobytes(), set()).add(i)
    return sorted((i, j) for j, other in enumerate(others) for i in places.get(other.tobytes(), ()))


def _moved(image, down, right):
    """A (C, H, W) image moved, 0 coming in, pixel by pixel."""
    C, H, W = image.shape
    result = np.zeros_like(image)
    for row in range(H):
        for column in range(W):
            r, c = row - down, column - right
            if 0 <= r < H and 0 <= c < W:
                result[:, row, column] = image[:, r, c]
    return result


def _brute(images, others, max_shift, fault=""):
    """Every pair compared, or with one fault."""
    reach = range(-max_shift, max_shift + 1)
    shifts = [(d, r) for d in reach for r in reach]
    if fault == "exact":
        shifts = [(0, 0)]
    elif fault == "one direction":
        shifts = [(d, r) for d, r in shifts if d >= 0 and r >= 0]
    elif fault == "one axis":
        shifts = [(d, r) for d, r in shifts if d == 0 or r == 0]
    elif fault == "largest only":
        shifts = [(d, r) for d, r in shifts if max(abs(d), abs(r)) in (0, max_shift)]
    found = []
    for i, image in enumerate(images):
        looks = []
        for down, right in shifts:
            rolled = np.roll(image, (down, right), axis=(1, 2))
            plain = rolled if fault == "rolled" else _moved(image, down, right)
            inverted = 255 - plain
            if fault == "inverted first":
                inverted = _moved(255 - image, down, right)
            looks += [plain] if fault in ("no inversion", "exact plain") else [plain, inverted]
            if fault == "not both" and (down, right) != (0, 0):
                looks.pop()
        for j, other in enumerate(others):
            if any(np.array_equal(look, other) for look in looks):
                found.append((i, j))
    if fault == "last wins":
        return sorted({j: (i, j) for i, j in found}.values())
    if fault == "swapped":
        return sorted((j, i) for i, j in found)
    if fault == "one each":
        return sorted({i: (i, j) for i, j in reversed(found)}.values())
    return found


_SAYS = {
    "no inversion": "Copies with inverted pixels, 255 − image, are missing.",
    "exact": "Copies that were moved are missing.",
    "not both": "Images that were moved and then inverted are missing: each moved image has two "
    "looks.",
    "one direction": "Only moves to the right and down are tried: up and left are moves too, by "
    "numbers below 0.",
    "one axis": "Moves along both axes at once are missing: there are (2 · max_shift + 1)² moves.",
    "largest only": "Only the largest move is tried; smaller ones count as well.",
    "rolled": "np.roll brings back on the left what leaves on the right. What leaves is lost, and "
    "0 comes in.",
    "inverted first": "First moved, then inverted: so the rim that comes in is 255 in an inverted "
    "copy. You inverted first.",
    "last wins": "Images that are equal among themselves overwrite one another: a dictionary keeps "
    "one value for each key, so make it a list of numbers.",
    "swapped": "The numbers in each pair have changed places: first of images, then of others.",
    "one each": "An image may have several copies among the others; all pairs are wanted.",
}


def _cases():
    """(words, images, others, max_shift), smallest first."""
    rng = np.random.default_rng(99)

    def random_images(n, H=4, W=5, C=1):
        return rng.integers(0, 256, size=(n, C, H, W)).astype(np.uint8)

    first, fresh = random_images(3), random_images(3)
    yield "three images, one of them copied", first, np.stack([fresh[0], first[2]]), 0
    yield "an inverted copy", first, np.stack([255 - first[1], fresh[0]]), 0
    moves = [_moved(first[0], 0, 1), _moved(first[1], -1, 0), _moved(first[2], 1, -1)]
    yield "moved by one pixel", first, np.stack(moves), 1
    both = [255 - _moved(first[0], 0, -1), first[1], _moved(first[1], 2, 2)]
    yield "moved and then inverted", first, np.stack(both), 1
    yield "inverted and then moved, which is no copy", first, _moved(255 - first[0], 0, 1)[None], 1
    large = random_images(4, 6, 6)
    some = [_moved(large[0], 2, -1), 255 - _moved(large[3], -2, 2), _moved(large[2], 0, -1)]
    yield "moved by up to two pixels", large, np.stack(some), 2
    yield "rolled, which is no copy", first, np.stack([np.roll(first[0], 1, axis=2), fresh[1]]), 1
    twins = np.stack([first[0], first[1], first[0]])
    yield "twins on both sides", twins, np.stack([first[0], fresh[0], first[0]]), 1
    permuted = rng.permutation(first[0].reshape(-1)).reshape(first[0].shape)
    yield "the same pixels in another order, which is no copy", first, permuted[None], 1
    colours = random_images(3, C=3)
    yield "three channels", colours, np.stack([colours[1], 255 - colours[0]]), 1
    yield "none at all", first, fresh, 1


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    results = []  # (pairs, the arguments) of each case
    for number, (words, images, others, max_shift) in enumerate(_cases()):
        case = ("case", f"{words}: images {images.shape}, others {others.shape}, "
                f"max_shift={max_shift}")  # fmt: skip
        given = images.copy(), others.copy()
        got, error = attempt(answer, (*given, max_shift))
        if error is not None:
            if isinstance(error, NotImplementedError) and number == 0:
                return not_attempted()
            return raised(error, case, attempted=number > 0)
        if not (np.array_equal(given[0], images) and np.array_equal(given[1], others)):
            return not_yet("Your function changed its input.", case, cause="Work on copies.")
        if problem := _unreadable(got, case):
            return problem
        results.append((_pairs(got), (images, others, max_shift), case))
    for pairs, args, case in results:
        if problem := _wrong(pairs, _brute(*args), results, case):
            return problem
    return _large(answer) or correct(
        f"{len(results)} small cases, and 1,500 clothes against 1,500 without comparing every pair."
    )


def _pairs(got):
    """What was found as a list of pairs of int; None if it is something else."""
    if isinstance(got, np.ndarray) and got.dtype.kind in "iu" and got.size % 2 == 0:
        got = got.reshape(-1, 2).tolist()
    if not isinstance(got, list | tuple | set | frozenset):
        return None
    pairs = []
    for pair in got:
        if isinstance(pair, np.ndarray):
            pair = pair.tolist()
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            return None
        if not all(isinstance(n, int | np.integer) for n in pair):
            return None
        pairs.append((int(pair[0]), int(pair[1])))
    return pairs


def _unreadable(got, case) -> Verdict | None:
    if _pairs(got) is None:
        words = "Your function returned None: does it end in a return?" if got is None else ""
        return not_yet("Return a list of pairs (number in images, number in others).", case,
                       ("got", kind(got)), cause=words or f"This is {show(got)}.")  # fmt: skip
    return None


def _known_cause(results) -> str:
    """What is said of the fault that would have given the same pairs in all cases but one at most.

    A single small case may agree by chance.
    """
    best, most = "", len(results) - 2
    for fault, says in _SAYS.items():
        alike = sum(set(pairs) == set(_brute(*args, fault)) for pairs, args, _ in results)
        if alike > most:
            best, most = says, alike
    return best


def _wrong(pairs, expected, results, case) -> Verdict | None:
    if set(pairs) == set(expected):
        if len(pairs) > len(expected):
            cause = "An image may be its own copy in more ways than one. Gather pairs in a set."
            return not_yet("Right, but some pairs are listed twice.", case, cause=cause)
        return None
    extra = set(pairs) - set(expected)
    general = "These two are no copies: all pixels must agree, each at its place." if extra else (
        "A pair is missing: every move from −max_shift to max_shift along both axes, each plain "
        "and inverted.")  # fmt: skip
    return not_yet(
        "The pairs differ.",
        case,
        ("expected", show(expected)),
        ("got", show(sorted(pairs))),
        cause=_known_cause(results) or general,
    )


def _large(answer) -> Verdict | None:
    """Real images, and so many that comparing every pair takes too long."""
    from cnnlib import data

    clothes = data.load_fashion_mnist().train_images
    images, others = clothes[:1500], clothes[1500:3000].copy()
    rng = np.random.default_rng(7)
    chosen = (rng.choice(1500, 20, replace=False).tolist() for _ in range(2))
    planted = sorted(zip(*chosen, strict=True))
    for i, j in planted:
        others[j] = _moved(images[i], *rng.integers(-1, 2, size=2).tolist())
    case = ("case", "1,500 clothes against 1,500, max_shift=1")
    start = time.process_time()
    got, error = attempt(answer, (images, others, 1))
    seconds = time.process_time() - start
    if error is not None:
        return raised(error, case, attempted=True)
    pairs = _pairs(got)
    if pairs is None or not set(planted) <= set(pairs):
        cause = "It is right for small images: is a limit built in somewhere?"
        return not_yet("Copies that were planted are missing.", case, cause=cause)
    if seconds > BUDGET_S:
        return not_yet(
            f"Right, but it took {seconds:.0f} s; {BUDGET_S:.0f} s are allowed.",
            case,
            cause="Every image was compared with every other. Look the others up in a dictionary: "
            "image.tobytes() can be a key.",
        )
    return None


EXERCISE = Exercise(
    id="09.9",
    title="Have we met before?",
    objective="find copies between two sets of images, also moved and inverted ones, in one pass",
    level=3,
    minutes=25,
    points=5,
    hints=(
        "A dictionary finds a key at once, however many it holds. What of an image can be a key? "
        "image.tobytes().",
        "Enter every look of every image: each move, plain and inverted. Then look up each of the "
        "others once. A pad of max_shift zeros on all sides makes every move a slice.",
        "Equal looks can come from several images: the value of a key is a set of numbers.",
    ),
    solution=find_copies,
    examine=_examine,
)
