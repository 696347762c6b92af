"""Copy the photographs out of the scikit-image package, unchanged.

    python -m pip download --no-deps scikit-image==0.26.0
    python -m zipfile -e scikit_image-0.26.0-*.whl unpacked
    uv run python -m data.photos.build unpacked

The argument is the folder of the unpacked wheel. Each file must have the SHA-256 that
scikit-image's own registry gives for it. Run it from the repository's root.
"""

import ast
import hashlib
import sys
from pathlib import Path

NAMES = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "grass.png",
    "gravel.png",
    "rocket.jpg",
)


def read_registry(path: Path) -> dict[str, str]:
    """The dictionary `registry` of skimage/data/_registry.py, read without running the file."""
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and statement.targets[0].id == "registry":
            return ast.literal_eval(statement.value)
    raise ValueError(f"{path} has no dictionary called registry")


def main() -> None:
    if len(sys.argv) != 2 or not Path(sys.argv[1], "skimage", "data").is_dir():
        sys.exit(__doc__)
    source = Path(sys.argv[1], "skimage", "data")
    registry = read_registry(source / "_registry.py")
    for name in NAMES:
        content = (source / name).read_bytes()
        got = hashlib.sha256(content).hexdigest()
        if got != registry[f"data/{name}"]:
            raise ValueError(f"{name}: expected SHA-256 {registry[f'data/{name}']}, got {got}")
        Path(__file__).with_name(name).write_bytes(content)
        print(f"{name:13} {len(content):7,} bytes, SHA-256 {got}")


if __name__ == "__main__":
    main()
