"""For all tests: one thread a process, and a learner's folder of each test's own."""

import os
import shutil
from pathlib import Path

import pytest

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # before numpy and torch are imported; kernels inherit it

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory, monkeypatch):
    """No test sees or changes the progress of whoever runs it."""
    monkeypatch.setenv("CNN_WORKBOOK_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def checkout(tmp_path):
    """A small checkout: this project's pyproject.toml and empty notebook folders."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "notebooks" / "text").mkdir(parents=True)
    return tmp_path
