"""Where the workbook lives: its checkout, its address, and the learner's own folder."""

import os
import tomllib
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

NAME = "cnn-workbook"


def root() -> Path | None:
    """Find the checkout that this cnnlib stands in.

    Returns:
        The folder above cnnlib when it holds this project's pyproject.toml; None when cnnlib was
        installed by itself, without notebooks and data.

    Example:
        >>> folder = root()
        >>> folder is None or (folder / "pyproject.toml").is_file()
        True
    """
    folder = Path(__file__).resolve().parent.parent
    return folder if _project_table(folder / "pyproject.toml").get("name") == NAME else None


def address(checkout: Path | None = None) -> str:
    """The repository's https address, written once, in pyproject.toml.

    Args:
        checkout: the checkout whose address is meant; the one of this cnnlib when None.

    Returns:
        The address without a closing slash: from pyproject.toml in a checkout, otherwise from the
        installed package's metadata.

    Raises:
        ValueError: the address is missing or is not one of https.

    Example:
        >>> address().startswith("https://")
        True
    """
    folder = checkout or root()
    if folder is not None:
        urls = _project_table(folder / "pyproject.toml").get("urls", {})
        where = "[project.urls] in pyproject.toml"
    else:
        urls, where = _installed_urls(), "the installed package's metadata"
    found = urls.get("Repository", "")
    if urlsplit(found).scheme != "https" or not urlsplit(found).netloc:
        raise ValueError(
            f"expected an https address as Repository in {where}, got {found!r}; "
            'write it as Repository = "https://github.com/OWNER/NAME"'
        )
    return found.rstrip("/").removesuffix(".git")


def home() -> Path:
    """The folder for what belongs to the learner: progress and downloaded data.

    Returns:
        `$CNN_WORKBOOK_HOME` when it is set, otherwise `.cnn-workbook` in the user's home folder.
        The folder may not exist yet; whoever writes into it makes it.

    Example:
        >>> home().is_absolute()
        True
    """
    chosen = os.environ.get("CNN_WORKBOOK_HOME")
    return Path(chosen).expanduser().absolute() if chosen else Path.home() / ".cnn-workbook"


def _project_table(path: Path) -> dict:
    """The [project] table of a pyproject.toml; empty when there is no readable file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    except (OSError, ValueError):  # not TOML, or not even text
        return {}


def _installed_urls() -> dict[str, str]:
    try:
        entries = metadata.metadata(NAME).get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        return {}
    return dict(entry.split(", ", 1) for entry in entries if ", " in entry)
