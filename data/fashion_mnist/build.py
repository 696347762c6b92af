"""Rebuild fashion_mnist.npz from the four published files, as in Debian's dataset-fashion-mnist.

    apt-get download dataset-fashion-mnist
    dpkg-deb -x dataset-fashion-mnist_*.deb unpacked
    uv run python -m data.fashion_mnist.build unpacked

The argument is a folder with the four files somewhere in it, plain or .gz, from any source: their
md5 is checked. Run it from the repository's root.
"""

from pathlib import Path

from data.idx import build

MD5 = {  # of the files once gunzipped
    "train_images": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train_labels": "9018921c3c673c538a1fc5bad174d6f9",
    "test_images": "8181f5470baa50b63fa0f6fddb340f0a",
    "test_labels": "15d484375f8d13e6eb1aabb0c3f46965",
}

if __name__ == "__main__":
    build(Path(__file__).with_name("fashion_mnist.npz"), MD5, usage=__doc__)
