"""Find, verify and load the data that comes with the workbook, as NumPy arrays.

A file is looked for in three places: the checkout's data/ folder, then the learner's own folder
(`project.home()`), then the repository's address, from where it is downloaded into the learner's
folder. Wherever it comes from, its SHA-256 must be the one written here before it is opened.
"""

import difflib
import hashlib
import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cnnlib import project

# Name below data/ -> SHA-256. The same numbers stand in each folder's README.md.
FILES = {
    "mnist/mnist.npz": "c8ca71ad62d22263ab46d0b5a815db8a64618c94fa6e7bc9f48a2c68964b1f12",
    "fashion_mnist/fashion_mnist.npz": (
        "08bca0e459ba0017bd7257f09a605291dabad7bce250d58a21f00a288732ffab"
    ),
    "photos/astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "photos/brick.png": "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
    "photos/camera.png": "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
    "photos/chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
    "photos/coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
    "photos/grass.png": "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
    "photos/gravel.png": "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
    "photos/rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
    "fashion_cnn/fashion_cnn.pt": (
        "9effaca9777d59c77adfbcc5d9c7c9e1804584e6fb67796f4c14c7f9b9a360cf"
    ),
    "fashion_cnn/history.json": "e44d5626001af61b3b6211c784fd41c2eb74274bd0f66b1443016008d44f6c6a",
    "first_cnn/first_cnn.pt": "db36476b9922d492fdfe4acec108a98dfb3e4efb35476067504509f3c8357a6a",
}

PHOTOS = tuple(Path(name).stem for name in FILES if name.startswith("photos/"))

DIGITS = tuple("0123456789")
CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat")
CLOTHES += ("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")

# Path -> (size, time of last change) of files whose SHA-256 this process has found right.
_verified: dict[Path, tuple[int, int]] = {}


class DataError(RuntimeError):
    """A data file is missing, damaged or out of reach; the message says what to do about it."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with labels, in a training and a test part.

    Args:
        train_images: uint8 (N, 1, H, W), 0 to 255.
        train_labels: int64 (N,), 0 to len(classes) - 1.
        test_images: as train_images, for the test part.
        test_labels: as train_labels, for the test part.
        classes: one name per label.

    Taught in notebook 01.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]

    def __repr__(self) -> str:
        return (
            f"ImageSet({len(self.train_images)} training and {len(self.test_images)} test images "
            f"of shape {self.train_images.shape[1:]}, {len(self.classes)} classes)"
        )


def load_mnist() -> ImageSet:
    """Load MNIST: handwritten digits, 60,000 to train with and 10,000 to test with.

    Returns:
        An ImageSet with fresh arrays: images uint8 (N, 1, 28, 28), ink bright on a ground of 0;
        labels int64 (N,), the digit itself.

    Raises:
        DataError: the file is damaged, or is not here and cannot be downloaded.

    Example:
        >>> load_mnist()
        ImageSet(60000 training and 10000 test images of shape (1, 28, 28), 10 classes)

    Source: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document
    recognition", 1998.

    Taught in notebook 01.
    """
    return _load_image_set("mnist/mnist.npz", DIGITS)


def load_fashion_mnist() -> ImageSet:
    """Load Fashion-MNIST: articles of clothing, in MNIST's shapes and numbers.

    Returns:
        An ImageSet with fresh arrays: images uint8 (N, 1, 28, 28); labels int64 (N,), an index
        into `classes`.

    Raises:
        DataError: the file is damaged, or is not here and cannot be downloaded.

    Example:
        >>> load_fashion_mnist().classes[9]
        'Ankle boot'

    Source: Xiao, Rasul, Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine
    learning algorithms", 2017.

    Taught in notebook 01.
    """
    return _load_image_set("fashion_mnist/fashion_mnist.npz", CLOTHES)


def load_photo(name: str) -> np.ndarray:
    """Load one of the photographs in `PHOTOS`.

    Args:
        name: such as "chelsea" (a cat, in colour) or "camera" (a photographer, in grey).

    Returns:
        A fresh array, uint8 (C, H, W), 0 to 255; C is 3 (red, green, blue) or 1 (grey).

    Raises:
        ValueError: there is no photograph of that name.
        DataError: the file is damaged, or is not here and cannot be downloaded.

    Example:
        >>> load_photo("chelsea").shape
        (3, 300, 451)

    Taught in notebook 01.
    """
    if name not in PHOTOS:
        raise ValueError(_unknown("photograph", name, PHOTOS))
    file_name = next(file for file in FILES if Path(file).stem == name)
    with Image.open(file_path(file_name)) as photo:
        pixels = np.array(photo)  # (H, W), or (H, W, 3)
    pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)  # (C, H, W)
    return np.ascontiguousarray(pixels)


def split(labels: np.ndarray, num_validation: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide examples at random into training and validation, each class in proportion.

    Args:
        labels: integers (N,), one class per example.
        num_validation: how many examples validation gets, 1 to N - 1.
        seed: the same seed gives the same split.

    Returns:
        (train_index, validation_index): int64, each in rising order, together 0 to N - 1. Each
        class has its exact share of validation, rounded up or down.

    Raises:
        TypeError: labels are not integers.
        ValueError: labels are not (N,), or num_validation is out of range.

    Example:
        >>> labels = np.array([0, 1, 1, 0, 1, 1, 0, 1, 1])
        >>> train_index, validation_index = split(labels, num_validation=3, seed=0)
        >>> np.bincount(labels[validation_index]).tolist(), len(train_index)
        ([1, 2], 6)

    Taught in notebook 01.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(f"expected labels (N,), got {labels.shape}; use labels.reshape(-1)")
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"expected integer labels, got {labels.dtype}; use labels.astype(np.int64)")
    N = len(labels)
    if not isinstance(num_validation, int | np.integer) or not 0 < num_validation < N:
        raise ValueError(
            f"expected num_validation between 1 and {N - 1}, got {num_validation!r}; it is a "
            "number of examples: for a tenth use len(labels) // 10"
        )
    classes, counts = np.unique(labels, return_counts=True)
    # Whole shares first; what is left over goes to the classes that rounding down cost the most.
    shares, remainders = np.divmod(counts * num_validation, N)
    num_left = num_validation - shares.sum()
    shares[np.argsort(-remainders, kind="stable")[:num_left]] += 1

    rng = np.random.default_rng(seed)
    in_validation = np.zeros(N, dtype=bool)
    for label, share in zip(classes, shares, strict=True):
        in_validation[rng.permutation(np.flatnonzero(labels == label))[:share]] = True
    return np.flatnonzero(~in_validation), np.flatnonzero(in_validation)


def file_path(name: str) -> Path:
    """Find a file of the workbook's data and make sure that it is whole.

    Args:
        name: a key of `FILES`, such as "mnist/mnist.npz".

    Returns:
        The path of a file whose SHA-256 is right: in the checkout, or in the learner's own folder,
        downloaded to there first if need be.

    Raises:
        ValueError: there is no file of that name.
        DataError: the file is damaged, or is not here and cannot be downloaded.

    Example:
        >>> file_path("mnist/mnist.npz").name
        'mnist.npz'

    Taught in notebook 01.
    """
    if name not in FILES:
        raise ValueError(_unknown("data file", name, tuple(FILES)))
    root = project.root()
    if root is not None and (root / "data" / name).exists():
        mend = f"Restore it with: git checkout -- data/{name}"
        return _verify(root / "data" / name, FILES[name], mend)
    cached = project.home() / "data" / name
    if not cached.exists():
        _download(name, cached)
    return _verify(cached, FILES[name], "Delete it and try again: it will be downloaded afresh")


def load_result(name: str) -> dict[str, Any]:
    """Read what a script in benchmarks/ measured and stored.

    Args:
        name: of the script, such as "ablation".

    Returns:
        The content of benchmarks/<name>.json.

    Raises:
        ValueError: there is no such result.
        DataError: cnnlib was installed without the benchmarks.

    Example:
        >>> sorted(load_result("ablation"))
        ['ablation', 'choice_of_lr']

    Taught in notebook 10.
    """
    root = project.root()
    if root is None:
        raise DataError(f"expected benchmarks/{name}.json; it comes with a clone of the workbook")
    known = tuple(sorted(path.stem for path in (root / "benchmarks").glob("*.json")))
    if name not in known:
        raise ValueError(_unknown("stored result", name, known))
    return json.loads((root / "benchmarks" / f"{name}.json").read_text(encoding="utf-8"))


def _load_image_set(name: str, classes: tuple[str, ...]) -> ImageSet:
    with np.load(file_path(name), allow_pickle=False) as arrays:
        return ImageSet(
            train_images=arrays["train_images"][:, None],  # (N, 1, 28, 28)
            train_labels=arrays["train_labels"].astype(np.int64),
            test_images=arrays["test_images"][:, None],
            test_labels=arrays["test_labels"].astype(np.int64),
            classes=classes,
        )


def _unknown(kind: str, name: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    mend = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
    return f"no {kind} is called {name!r}; {mend}"


def _verify(path: Path, sha256: str, mend: str) -> Path:
    """Return path if its content has this SHA-256, which is worked out once while it is unchanged.

    Raises:
        DataError: it has not, or it cannot be read.
    """
    try:
        stat = path.stat()
        state = (stat.st_size, stat.st_mtime_ns)
        if _verified.get(path) == state:
            return path
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. {mend}") from None
    got = hashlib.sha256(content).hexdigest()
    if got != sha256:
        raise DataError(
            f"{path} is damaged: {_damage(content)} (expected SHA-256 {sha256}, got {got}). {mend}"
        )
    _verified[path] = state
    return path


def _damage(content: bytes) -> str:
    """What has probably happened to a file whose hash is wrong, told from its content."""
    if content.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, not the file itself"
    # How a .npz or .pt, a .png and a .jpg start, and what must then stand in their last bytes.
    ends = {b"PK": b"PK\x05\x06", b"\x89PNG": b"IEND", b"\xff\xd8": b"\xff\xd9"}
    for start, end in ends.items():
        if content.startswith(start) and end not in content[-64:]:
            return f"it is truncated after {len(content):,} bytes"
    if content.count(b"\n") == content.count(b"\r\n") > 0:
        return "its line endings were rewritten as if it were text"
    return f"its {len(content):,} bytes are not the ones that were published"


def _address_of(name: str) -> str:
    """Where the main branch of the repository serves the raw file."""
    address = project.address()
    if address.startswith("https://github.com/"):
        owner_and_name = address.removeprefix("https://github.com/")
        return f"https://raw.githubusercontent.com/{owner_and_name}/main/data/{name}"
    return f"{address}/raw/main/data/{name}"


def _download(name: str, target: Path) -> None:
    """Fetch one file into the learner's folder; it gets its name only once its hash is right.

    Raises:
        DataError: no connection, no such file there, other content, or no place to write.
    """
    import pooch
    import requests

    source = _address_of(name)
    by_hand = f"put a copy of the repository's data/{name} at {target}"
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # it would announce the download on stderr
    try:
        pooch.retrieve(
            source,
            known_hash=f"sha256:{FILES[name]}",
            fname=target.name,
            path=target.parent,
            progressbar=find_spec("tqdm") is not None,
        )
    except requests.HTTPError as error:
        raise DataError(
            f"{name} is not here and cannot be downloaded: {source} answers "
            f"{error.response.status_code}. Update cnnlib, or {by_hand}"
        ) from None
    except requests.RequestException as error:
        raise DataError(
            f"{name} is not here and cannot be downloaded from {source} "
            f"({type(error).__name__}). Connect to the internet and try again, or {by_hand}"
        ) from None
    except ValueError:  # how pooch reports a wrong hash; it has thrown the content away
        raise DataError(
            f"{name} was not kept: what {source} sends is another content (expected SHA-256 "
            f"{FILES[name]}). Try again; if it happens again, update cnnlib, or {by_hand}"
        ) from None
    except OSError as error:
        raise DataError(
            f"{name} cannot be written to {target.parent} ({error}). Set the environment variable "
            "CNN_WORKBOOK_HOME to a folder with room that you can write to"
        ) from None
    finally:
        logger.setLevel(level)
