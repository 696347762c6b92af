"""Turn four IDX files, the format MNIST and Fashion-MNIST were published in, into one .npz file.

An IDX file is a header of big-endian 32-bit numbers (a magic number whose last byte is the number
of axes, then the length of each axis) followed by the values, one byte each.
"""

import gzip
import hashlib
import io
import sys
import zipfile
from pathlib import Path

import numpy as np

ARRAYS = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}


def find_raw(folder: Path, name: str, md5: str) -> bytes:
    """Content of the IDX file `name` (or name.gz) anywhere below `folder`, its md5 checked."""
    found = sorted(folder.rglob(name)) + sorted(folder.rglob(name + ".gz"))
    if not found:
        raise FileNotFoundError(f"{name} (or {name}.gz) is nowhere below {folder}")
    content = found[0].read_bytes()
    if found[0].suffix == ".gz":
        content = gzip.decompress(content)
    got = hashlib.md5(content).hexdigest()
    if got != md5:
        raise ValueError(f"{found[0]}: expected content with md5 {md5}, got {got}")
    return content


def parse(content: bytes) -> np.ndarray:
    """The array of unsigned bytes that an IDX file holds."""
    if content[:3] != b"\0\0\x08":
        raise ValueError(
            f"expected an IDX file of unsigned bytes, got one that starts {content[:4]}"
        )
    num_axes = content[3]
    shape = np.frombuffer(content, ">u4", count=num_axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * num_axes).reshape(shape)


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write a deflated .npz whose bytes depend on the arrays alone: no date, no user, no system."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.create_system, member.external_attr = 3, 0o644 << 16
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            archive.writestr(member, buffer.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)


def build(target: Path, md5: dict[str, str], usage: str) -> None:
    """Command line of both build scripts: one argument, the folder that holds the raw files."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit(usage)
    folder = Path(sys.argv[1])
    arrays = {name: parse(find_raw(folder, ARRAYS[name], md5[name])) for name in ARRAYS}
    write_npz(target, arrays)
    for name, array in arrays.items():
        print(f"{name:13} {array.dtype} {array.shape} md5 of the IDX file as published")
    print(f"{target} {target.stat().st_size:,} bytes")
    print(f"SHA-256 {hashlib.sha256(target.read_bytes()).hexdigest()}")
