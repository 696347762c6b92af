"""The data that ships is what its READMEs say, and cnnlib.data never hands out anything else."""

import gzip
import hashlib
import io
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import requests
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cnnlib import data, models, project
from data import idx

FOLDER = Path(__file__).parents[1] / "data"
SETS = {"mnist": data.load_mnist, "fashion_mnist": data.load_fashion_mnist}


@pytest.fixture(scope="module")
def image_sets():
    return {name: load() for name, load in SETS.items()}


def readme_table(folder: str, first_heading: str) -> list[list[str]]:
    """Rows of the table in data/<folder>/README.md whose heading row starts like this."""
    text = (FOLDER / folder / "README.md").read_text(encoding="utf-8")
    table = re.search(rf"^\| {first_heading} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in table[1].splitlines()]


# ---- the files ------------------------------------------------------------------------------


def test_readmes_list_exactly_the_files_that_the_table_has():
    listed = {
        f"{folder.name}/{file}": sha256
        for folder in FOLDER.iterdir()
        if (folder / "README.md").is_file()
        for file, _, sha256 in readme_table(folder.name, "file")
    }
    assert listed == data.FILES


@pytest.mark.parametrize("name", data.FILES)
def test_file_is_the_one_in_its_readme(name):
    path = FOLDER / name
    size, sha256 = next(
        row[1:] for row in readme_table(path.parent.name, "file") if row[0] == path.name
    )
    content = path.read_bytes()
    assert f"{len(content):,}" == size
    assert hashlib.sha256(content).hexdigest() == sha256
    assert data.file_path(name) == path


@pytest.mark.parametrize("name", SETS)
def test_arrays_are_the_published_ones(name, image_sets):
    """IDX files rebuilt from the loaded arrays have the md5 that the README gives."""
    loaded = image_sets[name]
    published = dict(readme_table(name, "published file, gunzipped"))
    rebuilt = {
        "train-images-idx3-ubyte": (2051, loaded.train_images[:, 0]),
        "train-labels-idx1-ubyte": (2049, loaded.train_labels.astype(np.uint8)),
        "t10k-images-idx3-ubyte": (2051, loaded.test_images[:, 0]),
        "t10k-labels-idx1-ubyte": (2049, loaded.test_labels.astype(np.uint8)),
    }
    for file, (magic, array) in rebuilt.items():
        header = struct.pack(f">{1 + array.ndim}I", magic, *array.shape)
        assert hashlib.md5(header + array.tobytes()).hexdigest() == published[file], file


@pytest.mark.parametrize("name", SETS)
def test_image_set_has_the_promised_shapes_and_counts(name, image_sets):
    loaded = image_sets[name]
    assert loaded.train_images.shape == (60000, 1, 28, 28)
    assert loaded.test_images.shape == (10000, 1, 28, 28)
    assert loaded.train_images.dtype == loaded.test_images.dtype == np.uint8
    assert loaded.train_labels.dtype == loaded.test_labels.dtype == np.int64
    assert (loaded.train_images.min(), loaded.train_images.max()) == (0, 255)
    counts = zip(
        map(str, range(10)),
        loaded.classes,
        map(str, np.bincount(loaded.train_labels)),
        map(str, np.bincount(loaded.test_labels)),
        strict=True,
    )
    assert [list(row) for row in counts] == readme_table(name, "label")
    assert repr(loaded) == (
        "ImageSet(60000 training and 10000 test images of shape (1, 28, 28), 10 classes)"
    )


def test_a_learner_may_change_what_was_loaded(image_sets):
    first = data.load_mnist()
    first.train_images[:] = 7
    first.test_labels[:] = 0
    second = data.load_mnist()
    assert np.array_equal(second.train_images, image_sets["mnist"].train_images)
    assert np.array_equal(second.test_labels, image_sets["mnist"].test_labels)
    photo = data.load_photo("camera")
    photo[:] = 0
    assert data.load_photo("camera").any()


@pytest.mark.parametrize("name", SETS)
def test_loading_takes_less_than_a_second(name, monkeypatch):
    """In seconds of this process's own work, so that a busy machine does not fail it."""
    seconds = []
    for _ in range(2):
        monkeypatch.setattr(data, "_verified", {})
        start = time.process_time()
        SETS[name]()
        seconds.append(time.process_time() - start)
    assert min(seconds) < 1


def test_photos_are_as_the_readme_says():
    rows = readme_table("photos", "name")
    assert tuple(row[0] for row in rows) == data.PHOTOS
    for name, shape, values, _ in rows:
        photo = data.load_photo(name)
        assert photo.dtype == np.uint8
        assert photo.flags.c_contiguous
        assert str(photo.shape) == shape
        assert f"{photo.min()} to {photo.max()}" == values


def test_photo_has_its_channels_first():
    """The saucer is red and the photograph's first row of pixels is its top."""
    coffee = data.load_photo("coffee")
    red, green, blue = coffee[:, 300, 120]
    assert red > 100 > green > blue
    assert coffee[:, :50, :50].mean() < 50 < coffee[:, -50:, :50].mean()


def test_first_cnn_reaches_the_accuracy_in_its_readme(image_sets):
    path = data.file_path("first_cnn/first_cnn.pt")
    assert path.stat().st_size < 200_000
    model = nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, kernel_size=3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 5 * 5, 10),
    )
    model.load_state_dict(torch.load(path, weights_only=True))
    digits = image_sets["mnist"]
    images = torch.from_numpy(digits.test_images).float() / 255
    with torch.inference_mode():
        predictions = torch.cat([model(batch).argmax(dim=1) for batch in images.split(1000)])
    test_acc = (predictions.numpy() == digits.test_labels).mean()
    stated = dict(readme_table("first_cnn", "setting"))["test accuracy"]
    assert test_acc == pytest.approx(float(stated.split()[0]) / 100, abs=3e-4)
    assert test_acc >= 0.989


def test_fashion_cnn_does_on_2000_images_what_its_history_says(image_sets):
    stored = json.loads(data.file_path("fashion_cnn/history.json").read_text())
    model = models.make_resnet8().eval()
    path = data.file_path("fashion_cnn/fashion_cnn.pt")
    model.load_state_dict(torch.load(path, weights_only=True))
    clothes = image_sets["fashion_mnist"]
    images = (torch.from_numpy(clothes.test_images[:2000]).float() / 255 - 0.286) / 0.353
    with torch.inference_mode():
        views = [[model(part) for part in x.split(500)] for x in (images, images.flip(-1))]
    mean = sum(torch.cat(logits).softmax(dim=1) for logits in views)
    num_right = int((mean.argmax(dim=1).numpy() == clothes.test_labels[:2000]).sum())
    assert abs(num_right - stored["num_right_of_first_2000"]) <= 3
    assert stored["test_acc_averaged_with_mirrored"] >= 0.94
    one, two = stored["test_acc"], stored["test_acc_averaged_with_mirrored"]
    in_readme = dict(readme_table("fashion_cnn", "setting"))["test accuracy"]
    assert in_readme == f"{100 * two:.2f} % with two views, {100 * one:.2f} % with one"
    config = stored["config"]
    assert len(stored["history"]["val_acc"]) == config["epochs"] == 16


def test_stored_results_are_read_and_unknown_ones_named():
    for path in (FOLDER.parent / "benchmarks").glob("*.json"):
        assert data.load_result(path.stem) == json.loads(path.read_text(encoding="utf-8"))
    with pytest.raises(ValueError, match=r"no stored result is called 'ablatoin'.*'ablation'"):
        data.load_result("ablatoin")


def test_without_a_checkout_there_are_no_stored_results(monkeypatch):
    monkeypatch.setattr(data.project, "root", lambda: None)
    with pytest.raises(data.DataError, match="clone"):
        data.load_result("ablation")


# ---- split ----------------------------------------------------------------------------------


@settings(deadline=None)  # a busy machine is no reason to fail
@given(
    labels=st.lists(st.integers(0, 4), min_size=2, max_size=60).map(np.array),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_split_gives_every_class_its_share(labels, share, seed):
    N = len(labels)
    num_validation = 1 + round(share * (N - 2))
    train_index, validation_index = data.split(labels, num_validation, seed)
    assert len(validation_index) == num_validation
    assert sorted([*train_index, *validation_index]) == list(range(N))
    assert (np.diff(train_index) > 0).all()
    assert (np.diff(validation_index) > 0).all()
    for label in np.unique(labels):
        exact = (labels == label).sum() * num_validation / N
        assert abs((labels[validation_index] == label).sum() - exact) < 1


def test_split_depends_on_the_seed_and_on_nothing_else(image_sets):
    labels = image_sets["mnist"].train_labels
    first, again, other = (data.split(labels, 6000, seed)[1] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("labels", "num_validation", "error", "message"),
    [
        (np.zeros((4, 1), int), 2, ValueError, r"expected labels \(N,\), got \(4, 1\)"),
        (np.zeros(4), 2, TypeError, "expected integer labels, got float64"),
        (np.zeros(4, int), 0, ValueError, "between 1 and 3, got 0"),
        (np.zeros(4, int), 4, ValueError, "between 1 and 3, got 4"),
        (np.zeros(4, int), 0.1, ValueError, r"got 0.1; .* for a tenth use len\(labels\) // 10"),
    ],
)
def test_split_refuses(labels, num_validation, error, message):
    with pytest.raises(error, match=message):
        data.split(labels, num_validation, seed=0)


# ---- finding, verifying, downloading ----------------------------------------------------------

# A small file to damage in every way: an .npz that has line feeds in it.
buffer = io.BytesIO()
np.savez(buffer, numbers=np.arange(1000, dtype=np.int16))
TINY = buffer.getvalue()
NAME = "tiny/tiny.npz"


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """cnnlib without a checkout and without a network; returns the learner's own folder."""
    home = tmp_path / "home"
    monkeypatch.setitem(data.FILES, NAME, hashlib.sha256(TINY).hexdigest())
    monkeypatch.setattr(project, "root", lambda: None)
    monkeypatch.setattr(project, "home", lambda: home)
    monkeypatch.setattr(project, "address", lambda: pytest.fail("the network was asked"))
    return home


@pytest.fixture
def checkout(alone, tmp_path, monkeypatch):
    root = tmp_path / "checkout"
    monkeypatch.setattr(project, "root", lambda: root)
    return root


@pytest.fixture
def network(alone, monkeypatch):
    """A repository's address on this machine; answers[path] = (status, content, stated length)."""
    answers = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, content, length = answers.get(self.path, (404, b"no such page", 12))
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        address = f"http://127.0.0.1:{server.server_port}/owner/name"
        monkeypatch.setattr(project, "address", lambda: address)
        yield answers
        server.shutdown()


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def error_of(name: str = NAME) -> str:
    """The one clear message of a file that cannot be had; no other exception shows behind it."""
    with pytest.raises(data.DataError) as caught:
        data.file_path(name)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_checkout_comes_before_the_learners_folder(checkout, alone):
    in_cache = put(alone / "data" / NAME, TINY)
    assert data.file_path(NAME) == in_cache
    in_checkout = put(checkout / "data" / NAME, TINY)
    assert data.file_path(NAME) == in_checkout


DAMAGE = {
    "truncated after 1,500 bytes": TINY[:1500],
    "0 bytes are not the ones": b"",
    "bytes are not the ones that were published": TINY[:200] + b"?" + TINY[201:],
    "Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "line endings were rewritten": TINY.replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize("wrong", DAMAGE)
def test_damaged_file_in_the_checkout(wrong, checkout):
    path = put(checkout / "data" / NAME, DAMAGE[wrong])
    message = error_of()
    assert message.startswith(f"{path} is damaged: ")
    assert wrong in message
    assert f"expected SHA-256 {data.FILES[NAME]}" in message
    assert f"git checkout -- data/{NAME}" in message


@pytest.mark.parametrize("wrong", DAMAGE)
def test_damaged_file_in_the_learners_folder(wrong, alone):
    path = put(alone / "data" / NAME, DAMAGE[wrong])
    message = error_of()
    assert str(path) in message
    assert wrong in message
    assert "Delete it and try again" in message


@pytest.mark.parametrize(
    "name", ["photos/chelsea.png", "photos/rocket.jpg", "first_cnn/first_cnn.pt"]
)
def test_truncation_is_seen_in_every_kind_of_file(name, checkout):
    put(checkout / "data" / name, (FOLDER / name).read_bytes()[:-100])
    assert "truncated" in error_of(name)


def test_unreadable_file(checkout):
    (checkout / "data" / NAME).mkdir(parents=True)
    assert "cannot be read: " in error_of()


def test_a_change_after_the_first_check_is_noticed(alone):
    path = put(alone / "data" / NAME, TINY)
    assert data.file_path(NAME) == path
    path.write_bytes(TINY[:-1] + b"?")
    os.utime(path, ns=(0, 0))
    assert "damaged" in error_of()


def test_an_unchanged_file_is_hashed_once(alone, monkeypatch):
    path = put(alone / "data" / NAME, TINY)
    data.file_path(NAME)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("it was read again"))
    assert data.file_path(NAME) == path


def test_download_is_kept_and_used_again(alone, network, monkeypatch):
    network[f"/owner/name/raw/main/data/{NAME}"] = (200, TINY, len(TINY))
    path = data.file_path(NAME)
    assert path == alone / "data" / NAME
    assert path.read_bytes() == TINY
    assert files_below(alone) == [path]
    network.clear()
    monkeypatch.setattr(data, "_verified", {})
    assert data.file_path(NAME) == path


def test_download_serves_what_a_checkout_lacks(checkout, alone, network):
    network[f"/owner/name/raw/main/data/{NAME}"] = (200, TINY, len(TINY))
    assert data.file_path(NAME) == alone / "data" / NAME


def test_address_on_github(monkeypatch):
    monkeypatch.setattr(project, "address", lambda: "https://github.com/owner/name")
    assert data._address_of("mnist/mnist.npz") == (
        "https://raw.githubusercontent.com/owner/name/main/data/mnist/mnist.npz"
    )


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((404, b"no such page", 12), "answers 404"),
        ((503, b"", 0), "answers 503"),
        ((200, b"<html>Please sign in</html>", 27), "another content"),
        ((200, TINY[:-100], len(TINY) - 100), "another content"),
        ((200, TINY[:-100], len(TINY)), "cannot be downloaded"),  # the connection breaks off
    ],
)
def test_failed_download_leaves_nothing(answer, message, alone, network):
    network[f"/owner/name/raw/main/data/{NAME}"] = answer
    error = error_of()
    assert error.startswith(NAME)
    assert message in error
    assert f"put a copy of the repository's data/{NAME} at {alone / 'data' / NAME}" in error
    assert files_below(alone) == []


def test_no_network(alone, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(project, "address", lambda: f"http://127.0.0.1:{port}/owner/name")
    error = error_of()
    assert error.startswith(f"{NAME} is not here and cannot be downloaded from http://127.0.0.1")
    assert "(ConnectionError). Connect to the internet and try again" in error
    assert files_below(alone) == []


def test_interrupted_download_leaves_nothing(alone, network, monkeypatch):
    network[f"/owner/name/raw/main/data/{NAME}"] = (200, TINY, len(TINY))

    def interrupt(self, chunk_size):
        yield TINY[:100]
        assert len(files_below(alone)) == 1  # it is being written, under another name
        assert not (alone / "data" / NAME).exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(requests.Response, "iter_content", interrupt)
    with pytest.raises(KeyboardInterrupt):
        data.file_path(NAME)
    assert files_below(alone) == []


def test_learners_folder_that_cannot_be_made(alone, network):
    put(alone, b"a file where the folder should be")
    message = error_of()
    assert f"{NAME} cannot be written to {alone / 'data' / 'tiny'}" in message
    assert "CNN_WORKBOOK_HOME" in message


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_read_only_learners_folder(alone, network, monkeypatch):
    """Root may write anywhere, so for root the refusal is acted out."""
    network[f"/owner/name/raw/main/data/{NAME}"] = (200, TINY, len(TINY))
    folder = alone / "data" / "tiny"
    folder.mkdir(parents=True)
    if os.geteuid() == 0:

        def refuse(*args, **kwargs):
            raise PermissionError(13, "Permission denied", str(folder))

        monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    folder.chmod(0o500)
    message = error_of()
    folder.chmod(0o700)
    assert "cannot be written" in message
    assert "Permission denied" in message
    assert "CNN_WORKBOOK_HOME" in message
    assert files_below(alone) == []


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"did you mean 'mnist/mnist\.npz'"):
        data.file_path("mnist/mnits.npz")
    with pytest.raises(ValueError, match="did you mean 'chelsea'"):
        data.load_photo("chelsae")
    with pytest.raises(ValueError, match="there are astronaut, brick, camera"):
        data.load_photo("zzz")


def test_nothing_is_unpickled(alone, monkeypatch):
    """Even a file whose hash is right is not allowed to run code."""

    class Payload:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was run",))

    hostile = io.BytesIO()
    np.savez(hostile, train_images=np.array([Payload()], dtype=object))
    put(alone / "data" / "mnist" / "mnist.npz", hostile.getvalue())
    sha256 = hashlib.sha256(hostile.getvalue()).hexdigest()
    monkeypatch.setitem(data.FILES, "mnist/mnist.npz", sha256)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        data.load_mnist()


def test_import_brings_in_neither_torch_nor_the_network():
    code = "import sys, cnnlib.data; print({'torch', 'pooch', 'requests'} & set(sys.modules))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert (answer.stdout, answer.stderr) == ("set()\n", "")


# ---- the build scripts ------------------------------------------------------------------------


def test_build_turns_idx_files_into_an_npz(tmp_path, monkeypatch, capsys):
    arrays, md5 = {}, {}
    for seed, (name, file) in enumerate(idx.ARRAYS.items()):
        shape = (3, 2, 5) if "images" in name else (3,)
        arrays[name] = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
        content = struct.pack(f">{1 + len(shape)}I", 2048 + len(shape), *shape)
        content += arrays[name].tobytes()
        md5[name] = hashlib.md5(content).hexdigest()
        if seed % 2:
            put(tmp_path / "raw" / "deep" / f"{file}.gz", gzip.compress(content))
        else:
            put(tmp_path / "raw" / file, content)

    monkeypatch.setattr(sys, "argv", ["build", str(tmp_path / "raw")])
    targets = [tmp_path / "first.npz", tmp_path / "second.npz"]
    for target in targets:
        idx.build(target, md5, usage="")
    assert targets[0].read_bytes() == targets[1].read_bytes()
    assert hashlib.sha256(targets[0].read_bytes()).hexdigest() in capsys.readouterr().out
    with np.load(targets[0], allow_pickle=False) as built:
        assert set(built) == set(arrays)
        assert all(np.array_equal(built[name], arrays[name]) for name in arrays)

    with pytest.raises(ValueError, match="expected content with md5 0000, got"):
        idx.build(tmp_path / "third.npz", md5 | {"test_labels": "0000"}, usage="")
    assert not (tmp_path / "third.npz").exists()


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "photos"])
def test_build_script_says_how_to_get_its_source(name):
    answer = subprocess.run(
        [sys.executable, "-m", f"data.{name}.build"],
        cwd=FOLDER.parent,
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 1
    assert f"uv run python -m data.{name}.build" in answer.stderr
