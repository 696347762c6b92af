"""Where the project finds itself, and what importing cnnlib does: nothing."""

import json
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from email.message import Message
from importlib import metadata
from pathlib import Path

import pytest

import cnnlib
from cnnlib import project

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"][
    "Repository"
]


def write_address(checkout, address):
    pyproject = checkout / "pyproject.toml"
    content = pyproject.read_text(encoding="utf-8")
    assert f'"{project.address()}"' in content
    pyproject.write_text(content.replace(project.address(), address), encoding="utf-8")


def installed_with(monkeypatch, *urls):
    """cnnlib as an installed package without a checkout, with these lines of Project-URL."""
    message = Message()
    for url in urls:
        message["Project-URL"] = url
    monkeypatch.setattr(project, "root", lambda: None)
    monkeypatch.setattr(metadata, "metadata", lambda name: message)


# The checkout


def test_the_root_is_this_checkout():
    assert project.root() == ROOT
    assert (project.root() / "notebooks").is_dir()


@pytest.mark.parametrize(
    "pyproject", [None, '[project]\nname = "another"\n', "[tool.x]\n", "[project\n", b"\xff\xfe"]
)
def test_a_folder_that_is_not_the_projects_is_no_root(tmp_path, monkeypatch, pyproject):
    monkeypatch.setattr(project, "__file__", str(tmp_path / "cnnlib" / "project.py"))
    assert project.root() is None
    content = pyproject if isinstance(pyproject, bytes) else (pyproject or "").encode()
    if pyproject is not None:
        (tmp_path / "pyproject.toml").write_bytes(content)
    assert project.root() is None
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "cnn-workbook"\n', encoding="utf-8")
    assert project.root() == tmp_path


# The address


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("https://github.com/me/my", "https://github.com/me/my"),
        ("https://github.com/me/my/", "https://github.com/me/my"),
        ("https://github.com/me/my.git", "https://github.com/me/my"),
        ("https://git.example.org/my", "https://git.example.org/my"),
    ],
)
def test_the_address_is_that_of_pyproject(checkout, written, read):
    write_address(checkout, written)
    assert project.address(checkout) == read


@pytest.mark.parametrize(
    "written", ["", "http://github.com/me/my", "git@github.com:me/my.git", "https://", "me/my"]
)
def test_an_address_that_is_not_https_is_refused(checkout, monkeypatch, written):
    write_address(checkout, written)
    with pytest.raises(ValueError, match=r"\[project\.urls\] in pyproject\.toml, got .*; write it"):
        project.address(checkout)
    installed_with(monkeypatch, f"Repository, {written}")
    with pytest.raises(ValueError, match=r"installed package's metadata, got .*; write it"):
        project.address()


def test_a_missing_address_is_refused(checkout, monkeypatch):
    content = (checkout / "pyproject.toml").read_text(encoding="utf-8")
    without = content.replace("Repository =", "Homepage =")
    (checkout / "pyproject.toml").write_text(without, encoding="utf-8")
    with pytest.raises(ValueError, match="expected an https address as Repository"):
        project.address(checkout)
    installed_with(monkeypatch, "Homepage, https://example.org")
    with pytest.raises(ValueError, match="expected an https address as Repository"):
        project.address()


def test_without_a_checkout_the_address_is_that_of_the_installed_package(monkeypatch):
    installed_with(monkeypatch, "Homepage, https://x.org", "Repository, https://github.com/me/my/")
    assert project.address() == "https://github.com/me/my"


def test_without_checkout_and_package_the_address_is_refused(monkeypatch):
    monkeypatch.setattr(project, "root", lambda: None)
    monkeypatch.setattr(project, "NAME", "a-package-that-nobody-has-installed")
    with pytest.raises(ValueError, match="installed package's metadata, got ''"):
        project.address()


# The learner's folder


def test_home_is_the_chosen_folder_or_one_in_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("CNN_WORKBOOK_HOME", str(tmp_path / "mine"))
    assert project.home() == tmp_path / "mine"
    assert not (tmp_path / "mine").exists()
    monkeypatch.setenv("CNN_WORKBOOK_HOME", "~/mine")
    assert project.home() == Path.home() / "mine"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CNN_WORKBOOK_HOME", "here")
    assert project.home() == tmp_path / "here"
    for none in (lambda: monkeypatch.setenv("CNN_WORKBOOK_HOME", ""), monkeypatch.undo):
        none()
        os.environ.pop("CNN_WORKBOOK_HOME", None)
        assert project.home() == Path.home() / ".cnn-workbook"


# Importing

# Imported alone or together, these bring in no torch: Part I is NumPy.
WITHOUT_TORCH = ("ops", "layers", "geometry", "data", "plots", "figures", "exercises")
WITHOUT_TORCH += ("project", "doctor", "editions")
MODULES = [
    module.name
    for module in pkgutil.walk_packages(cnnlib.__path__, "cnnlib.")
    if not module.name.endswith(("__main__", "conftest"))
]
# The state that an import must leave alone, seen before and after.
LOOK = """\
import json, os, random, sys
import numpy as np

def state():
    seeds = [str(random.getstate()), str(np.random.get_state())]
    files = sorted(str(f) for f, _, _ in os.walk(os.environ["CNN_WORKBOOK_HOME"])) + os.listdir()
    return seeds, files, dict(os.environ), os.getcwd()

before = state()
sys.dont_write_bytecode = True
for name in sys.argv[1:]:
    __import__(name)
same = [now == then for now, then in zip(state(), before)]
with open(os.environ["RESULT"], "w") as result:
    json.dump([same, "torch" in sys.modules], result)
"""


def imported(tmp_path, *names):
    """Import modules in a fresh Python with no network; (what stayed, whether torch came in)."""
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    result = tmp_path / "result.json"
    block = "import socket\nsocket.socket.connect = None\nsocket.getaddrinfo = None\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block + LOOK, *names],
        env={**os.environ, "CNN_WORKBOOK_HOME": str(home), "RESULT": str(result)},
        cwd=work,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr == ""
    assert not home.exists()
    assert not list(work.iterdir())
    return json.loads(result.read_text(encoding="utf-8"))


def test_importing_part_one_brings_in_no_torch(tmp_path):
    names = [name for name in MODULES if name.split(".")[1] in WITHOUT_TORCH]
    # The package of exercises imports those of Part II as well; what only their checks and their
    # solutions import may bring in torch.
    names = [name for name in names if not re.match(r"cnnlib\.exercises\.nb(0[89]|[12]\d)\.", name)]
    assert {name.split(".")[1] for name in names} == set(WITHOUT_TORCH)
    _, torch_came = imported(tmp_path, *names)
    assert not torch_came


def test_importing_anything_does_nothing(tmp_path):
    """No print, no warning, no file, no download, no seed, no change of environment."""
    same, _ = imported(tmp_path, *MODULES)
    assert same == [True] * 4


def test_the_look_itself_sees_an_import_that_does_something(tmp_path, monkeypatch):
    module = tmp_path / "modules" / "meddler.py"
    module.parent.mkdir()
    module.write_text("import random, os\nrandom.seed(3)\nos.environ['A'] = 'b'\nimport torch\n")
    monkeypatch.setenv("PYTHONPATH", str(module.parent))
    same, torch_came = imported(tmp_path, "meddler")
    assert same[0] is False
    assert same[2] is False
    assert torch_came


def test_the_doctests_keep_no_progress_in_the_home_of_whoever_runs_them(tmp_path):
    exercises = str(ROOT / "cnnlib" / "exercises" / "__init__.py")
    pytest_here = ["-m", "pytest", "-p", "no:cacheprovider", "--numprocesses=0", "-q", exercises]
    done = subprocess.run(
        [sys.executable, *pytest_here],
        env={**os.environ, "CNN_WORKBOOK_HOME": str(tmp_path / "home")},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "home").exists()
