"""`python -m cnnlib doctor`: is this machine ready, and if not, what to do about it."""

import os
import platform
import shutil
import sys
import tempfile
import tomllib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from cnnlib import project

OK, WARNING, PROBLEM = "ok", "warning", "PROBLEM"
# Editing and testing notebooks needs these; whoever reads them in Colab or Kaggle does without.
ONLY_TO_EDIT = {"jupyterlab", "jupytext", "nbval"}
UPDATE = "run `uv sync`, or with pip: pip install"
GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, how it is, and what to do if it is not well."""

    status: str  # OK, WARNING or PROBLEM
    about: str
    says: str
    mend: str = ""

    def __repr__(self) -> str:
        arrow = f"\n{'':<24}-> {self.mend}" if self.mend else ""
        return f"{self.status:<8}  {self.about:<12}  {self.says}{arrow}"


@dataclass(frozen=True)
class Report:
    """All findings, one a line. `ok` is False when there is a problem; warnings do not count."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        return all(finding.status != PROBLEM for finding in self.findings)

    def __repr__(self) -> str:
        count = {s: sum(f.status == s for f in self.findings) for s in (WARNING, PROBLEM)}
        verdict = "The workbook will run here."
        if count[PROBLEM]:
            verdict = f"{count[PROBLEM]} to mend before the workbook runs here: see PROBLEM above."
        elif count[WARNING]:
            verdict = (
                f"The workbook will run here; {count[WARNING]} worth a look: see warning above."
            )
        return "\n".join([*map(repr, self.findings), verdict])


def doctor() -> Report:
    """Look at this machine: Python, packages, device, data, memory, disk, Jupyter, git.

    Returns:
        A Report that reads as a table. It never raises: what could not be looked at is a finding.

    Example:
        >>> doctor().findings[0].about
        'Python'

    Taught in notebook 00.
    """
    looks = (python, packages, device, data, memory, disk, home, kernel, pairing, git)
    return Report(tuple(finding for look in looks for finding in _safely(look)))


def python() -> Iterator[Finding]:
    """The version of Python against the one that the project requires."""
    from packaging.specifiers import SpecifierSet

    needed, _ = requirements()
    here = platform.python_version()
    if SpecifierSet(needed).contains(here, prereleases=True):
        yield Finding(OK, "Python", here)
    else:
        yield Finding(PROBLEM, "Python", f"{here}; needs {needed}", "install a newer Python")


def packages() -> Iterator[Finding]:
    """The installed packages against the versions that the project requires."""
    from packaging.requirements import Requirement

    _, dependencies = requirements()
    fine = 0
    for line in dependencies:
        needed = Requirement(line)
        if needed.marker is not None and not needed.marker.evaluate():
            continue
        try:
            version = metadata.version(needed.name)
        except metadata.PackageNotFoundError:
            version = "not installed"
        if version != "not installed" and needed.specifier.contains(version, prereleases=True):
            fine += 1
            continue
        status = WARNING if needed.name in ONLY_TO_EDIT else PROBLEM
        why = ", only to edit and test notebooks" if needed.name in ONLY_TO_EDIT else ""
        says = f"{needed.name} {version}; needs {needed.specifier}{why}"
        yield Finding(status, "packages", says, f'{UPDATE} "{line}"')
    yield Finding(OK, "packages", f"{fine} of {len(dependencies)} are here, in versions that serve")


def device() -> Iterator[Finding]:
    """What torch will compute on."""
    try:
        import torch
    except (ImportError, OSError) as error:
        says = f"torch cannot be imported: {error}"
        yield Finding(PROBLEM, "device", says, f"{UPDATE} --force-reinstall torch")
        return
    threads, cores = torch.get_num_threads(), os.cpu_count() or 1
    with warnings.catch_warnings(record=True) as caught:  # how torch reports a driver too old
        warnings.simplefilter("always")
        has_cuda = torch.cuda.is_available()
    if has_cuda:
        yield Finding(OK, "device", f"CUDA: {torch.cuda.get_device_name(0)}")
    elif torch.backends.mps.is_available():
        yield Finding(OK, "device", "MPS: the graphics part of an Apple chip")
    else:
        yield Finding(OK, "device", f"CPU, threads: {threads}; enough for every notebook")
    if caught and not has_cuda:
        yield Finding(WARNING, "device", f"no CUDA: {caught[0].message}", "update the GPU's driver")
    if threads == 1 < cores:
        yield Finding(
            WARNING,
            "device",
            f"torch uses 1 thread, the machine has {cores} cores",
            "unset OMP_NUM_THREADS before starting Jupyter, unless it is meant",
        )


def data() -> Iterator[Finding]:
    """The shipped data files, each against its SHA-256; nothing is downloaded."""
    from cnnlib.data import FILES, DataError, file_path

    root, whole, damaged = project.root(), 0, 0
    places = [project.home() / "data"] + ([root / "data"] if root is not None else [])
    for name in FILES:
        if not any((place / name).exists() for place in places):
            continue
        try:
            file_path(name)
            whole += 1
        except DataError as error:
            damaged += 1
            says, _, mend = str(error).rpartition(". ")
            yield Finding(PROBLEM, "data", says, mend)
    if whole:
        yield Finding(OK, "data", f"{whole} files are here, each with the right SHA-256")
    missing = len(FILES) - whole - damaged
    says = f"{missing} of {len(FILES)} files are not here"
    if missing and root is None:
        yield Finding(WARNING, "data", says, "each is downloaded when it is first asked for")
    elif missing:
        yield Finding(PROBLEM, "data", says, "git checkout -- data")


def memory() -> Iterator[Finding]:
    """Free main memory."""
    import psutil

    free = psutil.virtual_memory().available / GIB
    if free >= 2:
        yield Finding(OK, "memory", f"{free:.1f} GiB free")
    else:
        says = f"{free:.1f} GiB free; some notebooks need 2 GiB"
        yield Finding(WARNING, "memory", says, "close other notebooks and programs")


def disk() -> Iterator[Finding]:
    """Free disk space where the learner's own folder is or will be."""
    free = shutil.disk_usage(_standing(project.home())).free / GIB
    if free >= 1:
        yield Finding(OK, "disk", f"{free:.1f} GiB free")
    else:
        status = WARNING if free >= 0.1 else PROBLEM
        says = f"{free:.2f} GiB free at {project.home()}; data and checkpoints need 1 GiB"
        yield Finding(status, "disk", says, "make room, or point CNN_WORKBOOK_HOME at another disk")


def home() -> Iterator[Finding]:
    """Whether progress can be written."""
    folder = project.home()
    try:
        with tempfile.TemporaryFile(dir=_standing(folder)):
            yield Finding(OK, "home", "your own folder can be written: your progress is kept there")
    except OSError as error:
        says = f"{folder} cannot be written ({error.strerror}): your progress would be lost"
        mend = "set CNN_WORKBOOK_HOME to a folder of your own before starting Jupyter"
        yield Finding(PROBLEM, "home", says, mend)


def kernel() -> Iterator[Finding]:
    """Whether Jupyter has a kernel that runs this very Python."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    mend = f"{sys.executable} -m ipykernel install --sys-prefix"
    try:
        command = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        yield Finding(PROBLEM, "kernel", "Jupyter has no kernel called python3", mend)
        return
    # A bare name such as "python" is replaced by the Python that runs Jupyter.
    found = shutil.which(command) if os.path.isabs(command) else sys.executable
    if found is None:
        yield Finding(PROBLEM, "kernel", f"python3 points at {command}, which is gone", mend)
    elif os.path.isabs(command) and Path(command).parent != Path(sys.executable).parent:
        yield Finding(WARNING, "kernel", f"python3 runs another Python: {command}", mend)
    else:
        yield Finding(OK, "kernel", "python3 runs this Python")


def pairing() -> Iterator[Finding]:
    """Whether JupyterLab keeps notebooks and their text in step."""
    root = project.root()
    if root is None or find_spec("jupytext") is None:
        return
    from jupyter_core.paths import jupyter_config_path

    table = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    if not table.get("tool", {}).get("jupytext", {}).get("formats"):
        says = "pyproject.toml pairs no notebooks with text"
        yield Finding(WARNING, "pairing", says, "restore [tool.jupytext] in pyproject.toml")
        return
    switches = [Path(p, "jupyter_server_config.d", "jupytext.json") for p in jupyter_config_path()]
    if not any(switch.exists() for switch in switches):
        says = "JupyterLab would save notebooks without their text"
        mend = "jupyter server extension enable jupytext, then restart JupyterLab"
        yield Finding(WARNING, "pairing", says, mend)
        return
    newer = [path.name for path in sorted((root / "notebooks").glob("*.ipynb")) if _text_lags(path)]
    if newer:
        says = f"newer than their text, so JupyterLab will not open them: {', '.join(newer)}"
        yield Finding(WARNING, "pairing", says, "python -m cnnlib sync")
    else:
        yield Finding(OK, "pairing", "jupytext saves each notebook and its text together")


def git() -> Iterator[Finding]:
    """Whether git is there, which fetches and updates the workbook."""
    if shutil.which("git"):
        yield Finding(OK, "git", "is here")
    else:
        mend = "install git to get the workbook's updates and to hand in work"
        yield Finding(WARNING, "git", "not found", mend)


def requirements() -> tuple[str, list[str]]:
    """The Python versions and the packages that the project asks for, wherever it is written."""
    root = project.root()
    if root is not None:
        table = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        return table["requires-python"], table["dependencies"]
    installed = metadata.metadata(project.NAME)
    needed = [line for line in metadata.requires(project.NAME) or [] if "extra ==" not in line]
    return installed["Requires-Python"], needed


def _safely(look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """All findings of one look; an exception becomes a finding, for a report is what is wanted."""
    findings = []
    try:
        for finding in look():
            findings.append(finding)
    except Exception as error:
        says = f"could not be looked at: {type(error).__name__}: {error}"
        findings.append(Finding(PROBLEM, look.__name__, says, f"{UPDATE} -e ."))
    return findings


def _standing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def _text_lags(notebook: Path, margin_s: float = 1.0) -> bool:
    """Whether the text is older than jupytext's margin allows; without a text there is no pair."""
    text = notebook.parent / "text" / f"{notebook.stem}.md"
    return text.exists() and notebook.stat().st_mtime - text.stat().st_mtime > margin_s
