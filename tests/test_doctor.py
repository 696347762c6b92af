"""`python -m cnnlib doctor` sees each kind of trouble, says what to do, and never fails itself."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from cnnlib import doctor, project
from cnnlib.__main__ import main
from cnnlib.data import FILES
from cnnlib.doctor import OK, PROBLEM, WARNING, Finding, Report

ROOT = Path(__file__).resolve().parent.parent


def only(look):
    """The one finding of a look at something that is not well; it says what to do."""
    findings = [finding for finding in look() if finding.status != OK]
    assert len(findings) == 1, findings
    assert findings[0].mend
    return findings[0]


def all_ok(look):
    findings = list(look())
    return bool(findings) and all(finding.status == OK for finding in findings)


def says(finding, status, *parts):
    assert finding.status == status
    for part in parts:
        assert part in repr(finding)
    return True


@pytest.fixture
def alone(monkeypatch):
    """cnnlib as installed by itself: no checkout around it."""
    monkeypatch.setattr(project, "root", lambda: None)


# Versions


def test_a_python_too_old_is_a_problem(monkeypatch):
    assert all_ok(doctor.python)
    monkeypatch.setattr(doctor.platform, "python_version", lambda: "3.9.1")
    assert says(only(doctor.python), PROBLEM, "3.9.1", ">=3.11", "newer Python")


def with_version(monkeypatch, name, version):
    """Pretend that a package has this version; None for a package that is not there."""
    real = metadata.version

    def pretended(asked):
        if asked != name:
            return real(asked)
        if version is None:
            raise metadata.PackageNotFoundError(asked)
        return version

    monkeypatch.setattr(doctor.metadata, "version", pretended)


@pytest.mark.parametrize(
    ("name", "version", "status", "parts"),
    [
        ("numpy", "1.26.4", PROBLEM, ("numpy 1.26.4", ">=2.0", "uv sync", 'install "numpy>=2.0"')),
        ("pooch", None, PROBLEM, ("pooch not installed", 'install "pooch>=1.8"')),
        ("nbval", None, WARNING, ("nbval not installed", "only to edit and test")),
        ("jupytext", "1.0", WARNING, ("jupytext 1.0", "only to edit and test")),
    ],
)
def test_a_package_too_old_or_missing_is_named(monkeypatch, name, version, status, parts):
    assert all_ok(doctor.packages)
    with_version(monkeypatch, name, version)
    assert says(only(doctor.packages), status, *parts)
    number = len(doctor.requirements()[1])
    assert f"{number - 1} of {number} are here" in repr(list(doctor.packages())[-1])


def test_a_later_or_a_local_version_serves(monkeypatch):
    with_version(monkeypatch, "torch", "2.99.0a1+cu140")
    assert all_ok(doctor.packages)


def test_without_a_checkout_the_requirements_are_those_of_the_installed_package(monkeypatch):
    here = doctor.requirements()
    monkeypatch.setattr(project, "root", lambda: None)
    python, packages = doctor.requirements()
    assert set(python.split(",")) == set(here[0].split(","))
    assert sorted(packages) == sorted(here[1])


# Device


def device_is(monkeypatch, *, cuda=False, mps=False, threads=2, cores=2):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "A fast one")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)


@pytest.mark.parametrize(
    ("device", "name"),
    [({"cuda": True}, "CUDA: A fast one"), ({"mps": True}, "MPS"), ({}, "CPU, threads: 2")],
)
def test_the_device_is_named(monkeypatch, device, name):
    device_is(monkeypatch, **device)
    (finding,) = doctor.device()
    assert says(finding, OK, name)


def test_one_thread_on_several_cores_is_worth_a_look(monkeypatch):
    device_is(monkeypatch, threads=1, cores=1)
    assert all_ok(doctor.device)
    device_is(monkeypatch, threads=1, cores=8)
    assert says(only(doctor.device), WARNING, "8 cores", "OMP_NUM_THREADS")


def test_a_driver_too_old_is_passed_on_and_prints_nothing(monkeypatch, recwarn):
    device_is(monkeypatch)

    def too_old():
        doctor.warnings.warn("the driver is too old", stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", too_old)
    assert says(only(doctor.device), WARNING, "the driver is too old", "update")
    assert not recwarn.list


def test_a_torch_that_cannot_be_imported_is_a_problem(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert says(only(doctor.device), PROBLEM, "torch cannot be imported", "--force-reinstall")


# Data


@pytest.fixture
def own_data(checkout, monkeypatch):
    """A checkout with data files of its own, right by the hashes that are asked for."""
    (checkout / "data" / "photos").mkdir(parents=True)
    for name in FILES:
        if name.startswith("photos/"):
            shutil.copy(ROOT / "data" / name, checkout / "data" / name)
    photos = {name: value for name, value in FILES.items() if name.startswith("photos/")}
    monkeypatch.setattr("cnnlib.data.FILES", photos)
    monkeypatch.setattr(project, "root", lambda: checkout)
    return checkout / "data"


def test_whole_data_are_counted(own_data):
    (finding,) = doctor.data()
    assert says(finding, OK, "8 files", "right SHA-256")


def test_a_truncated_file_is_a_problem(own_data):
    cat = own_data / "photos" / "chelsea.png"
    cat.write_bytes(cat.read_bytes()[:1000])
    found = only(doctor.data)
    assert says(found, PROBLEM, "chelsea.png", "truncated", "-> Restore it with: git checkout -- ")
    assert "7 files" in repr(list(doctor.data())[-1])


def test_a_file_that_cannot_be_read_is_a_problem(own_data):
    cat = own_data / "photos" / "chelsea.png"
    cat.unlink()
    cat.mkdir()
    assert says(only(doctor.data), PROBLEM, "chelsea.png cannot be read", "git checkout")


def test_missing_files_are_a_problem_in_a_checkout_only(own_data, monkeypatch):
    (own_data / "photos" / "chelsea.png").unlink()
    assert says(only(doctor.data), PROBLEM, "1 of 8 files", "git checkout -- data")
    monkeypatch.setattr(project, "root", lambda: None)
    assert says(only(doctor.data), WARNING, "8 of 8 files", "downloaded")


def test_no_look_at_data_downloads(alone, monkeypatch):
    def refuse(*_):
        raise AssertionError("asked the network")

    monkeypatch.setattr("cnnlib.data._download", refuse)
    assert says(only(doctor.data), WARNING, "files are not here")
    assert not (project.home() / "data").exists()


# Room


@pytest.mark.parametrize(("free", "status"), [(2.0, OK), (1.9, WARNING), (0.1, WARNING)])
def test_little_memory_is_worth_a_look(monkeypatch, free, status):
    memory = SimpleNamespace(available=free * 2**30, total=64 * 2**30)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    (finding,) = doctor.memory()
    assert says(finding, status, f"{free:.1f} GiB free")
    assert (finding.mend == "") == (status == OK)


@pytest.mark.parametrize(("free", "status"), [(1.0, OK), (0.9, WARNING), (0.09, PROBLEM)])
def test_little_disk_is_worth_a_look_and_none_is_a_problem(monkeypatch, tmp_path, free, status):
    usage = namedtuple("usage", "total used free")
    asked = []

    def pretended(folder):
        asked.append(folder)
        return usage(2**40, 0, free * 2**30)

    monkeypatch.setattr(shutil, "disk_usage", pretended)
    monkeypatch.setenv("CNN_WORKBOOK_HOME", str(tmp_path / "not" / "yet"))
    (finding,) = doctor.disk()
    assert says(finding, status, "GiB free")
    assert asked == [tmp_path]
    assert (str(tmp_path) in repr(finding)) == (status != OK)
    assert not list(tmp_path.iterdir())


def test_a_home_that_is_a_file_cannot_be_written(monkeypatch, tmp_path):
    monkeypatch.setenv("CNN_WORKBOOK_HOME", str(tmp_path / "mine"))
    assert all_ok(doctor.home)
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine").touch()
    found = only(doctor.home)
    assert says(found, PROBLEM, "cannot be written", "progress would be lost", "CNN_WORKBOOK_HOME")


def test_a_home_that_is_read_only_cannot_be_written(monkeypatch, tmp_path):
    monkeypatch.setenv("CNN_WORKBOOK_HOME", str(tmp_path))
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):  # root, and Windows, write all the same

        def refuse(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    assert says(only(doctor.home), PROBLEM, str(tmp_path), "ermission")


# Jupyter and git


def kernel_called_python3(folder, monkeypatch, *argv):
    """Give Jupyter a kernel of this name that comes before all others."""
    kernel = folder / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    description = {"argv": list(argv), "display_name": "Python 3", "language": "python"}
    kernel.write_text(json.dumps(description), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(folder))


def test_no_kernel_is_a_problem(monkeypatch):
    from jupyter_client import kernelspec

    assert all_ok(doctor.kernel)

    def none(self, name):
        raise kernelspec.NoSuchKernel(name)

    monkeypatch.setattr(kernelspec.KernelSpecManager, "get_kernel_spec", none)
    assert says(only(doctor.kernel), PROBLEM, "no kernel called python3", "ipykernel install")


def test_a_kernel_whose_python_is_gone_is_a_problem(monkeypatch, tmp_path):
    kernel_called_python3(tmp_path, monkeypatch, str(tmp_path / "python"), "-m", "x")
    assert says(only(doctor.kernel), PROBLEM, "which is gone", "ipykernel install")


def test_a_kernel_of_another_python_is_worth_a_look(monkeypatch, tmp_path):
    other = tmp_path / "bin" / Path(sys.executable).name
    other.parent.mkdir()
    other.touch(mode=0o755)
    kernel_called_python3(tmp_path, monkeypatch, str(other), "-m", "ipykernel_launcher")
    assert says(only(doctor.kernel), WARNING, "another Python", str(other))


@pytest.mark.parametrize("command", ["python", sys.executable])
def test_a_kernel_of_this_python_is_fine(monkeypatch, tmp_path, command):
    kernel_called_python3(tmp_path, monkeypatch, command, "-m", "ipykernel_launcher")
    assert all_ok(doctor.kernel)


@pytest.fixture
def paired(checkout, monkeypatch):
    """A checkout with one pair, and a Jupyter that keeps pairs."""
    pair = checkout / "notebooks" / "02_small.ipynb", checkout / "notebooks/text/02_small.md"
    for file in pair:
        file.touch()
    switch = checkout / "config" / "jupyter_server_config.d" / "jupytext.json"
    switch.parent.mkdir(parents=True)
    switch.touch()
    monkeypatch.setattr(project, "root", lambda: checkout)
    monkeypatch.setattr(
        "jupyter_core.paths.jupyter_config_path", lambda: [str(checkout / "config")]
    )
    assert all_ok(doctor.pairing)
    return pair


def test_a_notebook_newer_than_its_text_is_worth_a_look(paired):
    os.utime(paired[1], (1, 1))
    assert says(only(doctor.pairing), WARNING, "02_small.ipynb", "python -m cnnlib sync")
    paired[1].unlink()  # then there is no pair, and Jupyter opens it
    assert all_ok(doctor.pairing)


def test_a_jupyter_that_saves_no_text_is_worth_a_look(paired, checkout):
    shutil.rmtree(checkout / "config")
    assert says(only(doctor.pairing), WARNING, "without their text", "enable jupytext")


def test_a_pyproject_without_pairs_is_worth_a_look(paired, checkout):
    pyproject = checkout / "pyproject.toml"
    content = pyproject.read_text(encoding="utf-8")
    pyproject.write_text(content.replace("[tool.jupytext]", "[tool.other]"), encoding="utf-8")
    assert says(only(doctor.pairing), WARNING, "pairs no notebooks")


def test_pairing_is_no_matter_without_a_checkout(alone):
    assert list(doctor.pairing()) == []


def test_no_git_is_worth_a_look(monkeypatch):
    assert all_ok(doctor.git)
    monkeypatch.setenv("PATH", "")
    assert says(only(doctor.git), WARNING, "not found", "install git")


# The report


def report(*statuses):
    return Report(tuple(Finding(status, "x", "y", "z" * (status != OK)) for status in statuses))


@pytest.mark.parametrize(
    ("statuses", "ok", "verdict"),
    [
        ([OK, OK], True, "The workbook will run here."),
        ([OK, WARNING], True, "The workbook will run here; 1 worth a look: see warning above."),
        (
            [PROBLEM, WARNING, PROBLEM],
            False,
            "2 to mend before the workbook runs here: see PROBLEM above.",
        ),
    ],
)
def test_the_report_ends_in_a_verdict(statuses, ok, verdict):
    made = report(*statuses)
    assert made.ok is ok
    assert repr(made).splitlines()[-1] == verdict
    assert repr(made).count("-> z") == len(statuses) - statuses.count(OK)


def test_the_doctor_never_raises(monkeypatch):
    """Whatever it looks at goes wrong; each look still gives its line."""

    def broken(*_, **__):
        raise RuntimeError("out of order")

    for name in ("root", "home"):
        monkeypatch.setattr(project, name, broken)
    monkeypatch.setattr(psutil, "virtual_memory", broken)
    monkeypatch.setattr(shutil, "which", broken)
    monkeypatch.setattr(torch.cuda, "is_available", broken)
    monkeypatch.setattr("jupyter_client.kernelspec.KernelSpecManager.get_kernel_spec", broken)
    findings = doctor.doctor().findings
    looks = ["python", "packages", "device", "data", "memory", "disk", "home", "kernel"]
    assert [finding.about for finding in findings] == [*looks, "pairing", "git"]
    for finding in findings:
        assert says(finding, PROBLEM, "could not be looked at", "RuntimeError: out of order")
        assert finding.mend


def test_a_module_that_is_missing_altogether_is_a_finding(monkeypatch):
    for name in ("psutil", "jupyter_client.kernelspec", "packaging.requirements"):
        monkeypatch.setitem(sys.modules, name, None)
    found = {finding.about: finding for finding in doctor.doctor().findings}
    for name in ("memory", "kernel", "packages"):
        assert says(found[name], PROBLEM, "could not be looked at", "uv sync")
    assert found["Python"].status == OK


def test_what_is_well_says_nothing_of_this_machines_folders(monkeypatch):
    """Notebook 00 stores the report."""
    monkeypatch.delenv("CNN_WORKBOOK_HOME")
    lines = [repr(finding) for finding in doctor.doctor().findings if finding.status == OK]
    assert len(lines) > 5
    own = (str(ROOT), str(Path.home()), sys.prefix, sys.executable)
    assert not [line for line in lines if any(name in line for name in own)]
    assert not [line for line in lines if re.search(r"(^|\s)/\w|[A-Z]:\\", line)]


def run(**changes):
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "cnnlib", "doctor"],
        env={**os.environ, **changes},
        capture_output=True,
        text=True,
    )
    return done, time.perf_counter() - started


def test_the_command_is_quick_and_its_exit_status_tells(tmp_path):
    done, seconds = run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "The workbook will run here" in done.stdout
    assert seconds < 30  # a few on a quiet machine
    (tmp_path / "file").touch()
    done, _ = run(CNN_WORKBOOK_HOME=str(tmp_path / "file"))
    assert done.returncode == 1
    assert done.stderr == ""
    assert "PROBLEM   home" in done.stdout


@pytest.mark.parametrize(("statuses", "status"), [([OK, WARNING], 0), ([OK, PROBLEM], 1)])
def test_warnings_do_not_fail_the_command(monkeypatch, capsys, statuses, status):
    monkeypatch.setattr(doctor, "doctor", lambda: report(*statuses))
    assert main(["doctor"]) == status
    assert capsys.readouterr().out == f"{report(*statuses)}\n"
