"""A notebook alone: no cnnlib, no network, only the address of the workbook. It fetches the rest.

This is what happens in Colab. Here the address is that of a repository on this disk.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import nbformat
import pytest

from cnnlib.machinery.generated import BOOTSTRAP

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "notebooks" / "00_start_here.ipynb"
CELL = BOOTSTRAP.replace("<address>", "https://the-address-of-pyproject.invalid")
WHERE = "import cnnlib\nprint(cnnlib.__file__)"

# Runs the notebook argv[1] in the folder it is in. The kernel is the Python that runs this very
# script; it is reached by sockets in the file system, for without a network there is no loopback.
DRIVER = """\
import asyncio, os, sys
import nbformat
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient

if sys.platform == "win32":
    asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
notebook = nbformat.read(sys.argv[1], as_version=4)
manager = AsyncKernelManager(kernel_name="lone")
if sys.platform != "win32":
    manager.transport, manager.ip = "ipc", os.environ["KERNEL_SOCKETS"]
client = NotebookClient(notebook, km=manager, timeout=300, resources={"metadata": {"path": "."}})
client.execute()
nbformat.write(notebook, sys.argv[1])
"""

pytestmark = pytest.mark.skipif(
    shutil.which("git") is None or not (ROOT / ".git").exists(), reason="needs a checkout with git"
)


def git(*arguments, **options):
    command = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.org", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def without_network() -> list[str]:
    """The words that start a command without network; none where the system has no such thing."""
    words = [shutil.which("unshare") or "unshare", "--user", "--map-root-user", "--net"]
    try:
        subprocess.run([*words, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return words


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A repository with the files of this checkout as they stand, committed or not."""
    folder = tmp_path_factory.mktemp("published") / "workbook"
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():  # not one that was deleted and is tracked still
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git("init", "--quiet", cwd=folder)
    git("-c", "core.compression=0", "add", "--all", "--force", cwd=folder)
    git("-c", "core.compression=0", "commit", "--quiet", "--message", "As it stands", cwd=folder)
    return folder.as_uri()


class Machine:
    """A Python that has the packages and no cnnlib, with an empty folder to work in."""

    def __init__(self, folder: Path, home: Path):
        self.folder, self.home = folder, home
        home.mkdir()
        command = [sys.executable, "-m", "venv", "--without-pip", str(home / "venv")]
        subprocess.run(command, check=True)
        bin_folder = "Scripts" if os.name == "nt" else "bin"
        self.python = home / "venv" / bin_folder / Path(sys.executable).name
        if not self.python.exists():
            self.python = self.python.with_name("python")
        kernel = home / "jupyter" / "kernels" / "lone" / "kernel.json"
        kernel.parent.mkdir(parents=True)
        argv = [str(self.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        argv.append("--log-level=ERROR")
        specification = {"argv": argv, "display_name": "Lone", "language": "python"}
        kernel.write_text(json.dumps(specification), encoding="utf-8")
        (home / "driver.py").write_text(DRIVER, encoding="utf-8")

    def variables(self, **changes) -> dict[str, str]:
        """The environment: packages by PYTHONPATH, where no .pth file is read, so no cnnlib."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "CNN_WORKBOOK"))}
        kept.pop("MPLBACKEND", None)
        packages = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        return {
            **kept,
            "PYTHONPATH": os.pathsep.join(sorted(packages)),
            "PYTHONNOUSERSITE": "1",
            "JUPYTER_PATH": str(self.home / "jupyter"),
            "JUPYTER_RUNTIME_DIR": str(self.home / "r"),
            "KERNEL_SOCKETS": str(self.home / "s"),
            "HOME": str(self.home),
            **changes,
        }

    def run(self, *words, **changes):
        """Run this Python in the folder, without network where that can be had."""
        command = [*without_network(), str(self.python), *words]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.variables(**changes),
            capture_output=True,
            text=True,
            timeout=400,
        )

    def run_cells(self, *cells, **changes):
        """Run code cells one after the other, as a kernel would."""
        return self.run("-c", "\n".join(cells), **changes)

    def run_notebook(self, name, **changes):
        """Run a notebook of the folder in a kernel; gives it back with its outputs."""
        done = self.run(str(self.home / "driver.py"), name, **changes)
        assert done.returncode == 0, done.stdout + done.stderr
        return nbformat.read(self.folder / name, as_version=4)


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The environment of the lone machine, made once."""
    home = tmp_path_factory.mktemp("m") / "h"  # short: it holds sockets, whose paths have a limit
    return Machine(home.parent, home)


@pytest.fixture
def machine(environment, tmp_path):
    environment.folder = tmp_path / "empty"
    environment.folder.mkdir()
    return environment


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_machine_has_the_packages_and_no_cnnlib_and_no_network(machine):
    assert machine.run_cells("import numpy, torch, ipykernel").returncode == 0
    done = machine.run_cells("import cnnlib")
    assert "No module named 'cnnlib'" in done.stderr, "cnnlib should be installed with -e, or not"
    if without_network():
        done = machine.run_cells("import socket; print(socket.if_nameindex())")
        assert done.stdout.strip() == "[(1, 'lo')]"


def test_notebook_00_alone_in_an_empty_folder_runs_to_its_end(machine, address):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.cells.append(nbformat.v4.new_code_cell(WHERE))
    nbformat.write(notebook, machine.folder / NOTEBOOK.name)
    ran = machine.run_notebook(NOTEBOOK.name, CNN_WORKBOOK_ADDRESS=address)
    code = [cell for cell in ran.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert len(code) > 20
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    clone = machine.folder / "cnn-workbook"
    assert code[-1].outputs[0].text.strip() == str(clone / "cnnlib" / "__init__.py")
    assert contents(machine.folder) == [NOTEBOOK.name, "cnn-workbook"]
    doctors = next(cell for cell in code if cell.source == "doctor()")
    assert "PROBLEM" not in doctors.outputs[0].data["text/plain"]


def test_a_second_run_uses_the_clone_and_no_address(machine, address):
    first = machine.run_cells(CELL, WHERE, CNN_WORKBOOK_ADDRESS=address)
    clone = machine.folder / "cnn-workbook"
    mark = clone / "of-the-first-run"
    mark.touch()
    again = machine.run_cells(CELL, WHERE, CNN_WORKBOOK_ADDRESS="file:///nowhere")
    assert first.stdout.strip() == again.stdout.strip() == str(clone / "cnnlib" / "__init__.py")
    assert mark.exists()
    # The same in a folder of the clone: the notebook opened where it belongs.
    machine.folder = clone / "notebooks"
    within = machine.run_cells(CELL, WHERE, CNN_WORKBOOK_ADDRESS="file:///nowhere")
    assert within.stdout.strip() == first.stdout.strip()
    assert "cnn-workbook" not in contents(machine.folder)


def test_where_cnnlib_can_be_imported_nothing_is_done(machine, tmp_path):
    package = tmp_path / "elsewhere" / "cnnlib"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    packages = os.pathsep.join([str(package.parent), machine.variables()["PYTHONPATH"]])
    path = "import sys; print(sys.path)"
    done = machine.run_cells(path, CELL, path, PYTHONPATH=packages, PATH="")
    before, after = done.stdout.splitlines()
    assert before == after
    assert contents(machine.folder) == []


def failed(machine, **changes) -> str:
    """What one failing run says in its last lines, the error; nothing is left behind."""
    done = machine.run_cells(CELL, WHERE, **changes)
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.count("Traceback") == 1, done.stderr
    assert contents(machine.folder) == []
    return done.stderr[done.stderr.index("RuntimeError: ") :]


def test_a_wrong_address_gives_one_error_with_the_address_and_what_git_says(machine, address):
    wrong = address + "-that-is-not-there"
    said = failed(machine, CNN_WORKBOOK_ADDRESS=wrong)
    assert said.startswith(f"RuntimeError: Could not fetch the workbook from {wrong}: ")
    assert "fatal: " in said
    assert len(said.splitlines()) < 8
    # And the next run, with the right one, is as good as a first.
    done = machine.run_cells(CELL, WHERE, CNN_WORKBOOK_ADDRESS=address)
    assert "cnn-workbook" in done.stdout


def test_without_the_variable_the_address_is_that_of_pyproject(machine):
    if not without_network():
        pytest.skip("would ask the network")
    said = failed(machine)
    assert "from https://the-address-of-pyproject.invalid: " in said


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for git is a shell script")
def test_half_a_clone_is_not_kept(machine, address, tmp_path):
    """A git that stops in the middle and does not tidy up, as when it is killed."""
    stand_in = tmp_path / "bin" / "git"
    stand_in.parent.mkdir()
    stand_in.write_text(
        "#!/bin/sh\n"
        "for target; do :; done  # the last argument\n"
        'mkdir -p "$target/cnnlib" && touch "$target/cnnlib/project.py"\n'
        "echo fatal: early EOF >&2\nexit 128\n",
        encoding="utf-8",
    )
    stand_in.chmod(0o755)
    path = os.pathsep.join([str(stand_in.parent), os.environ["PATH"]])
    assert "fatal: early EOF" in failed(machine, PATH=path, CNN_WORKBOOK_ADDRESS=address)
    done = machine.run_cells(CELL, WHERE, CNN_WORKBOOK_ADDRESS=address)
    assert str(machine.folder / "cnn-workbook") in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="there the shell's words depend on the language")
def test_without_git_the_error_names_it(machine, address, tmp_path):
    (tmp_path / "bin").mkdir()
    said = failed(machine, PATH=str(tmp_path / "bin"), CNN_WORKBOOK_ADDRESS=address)
    assert f"Could not fetch the workbook from {address}: " in said
    assert "git" in said.split(address)[-1]
