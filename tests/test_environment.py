"""The files around the course agree with one another, and the environment opens on notebook 00."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import cnnlib

ROOT = Path(__file__).resolve().parent.parent
OPEN_COMMAND = "pip install uv && uv run jupyter lab"
TEST_COMMAND = "pip install uv && uv run pytest"
FIRST_NOTEBOOK = "notebooks/00_start_here.ipynb"
PLATFORMS = ("linux", "darwin", "win32")


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


PYPROJECT = tomllib.loads(read("pyproject.toml"))
PROJECT = PYPROJECT["project"]
ADDRESS = PROJECT["urls"]["Repository"]
PYTHONS = [
    f"3.{minor}"
    for minor in range(8, 30)
    if SpecifierSet(PROJECT["requires-python"]).contains(f"3.{minor}.0")
]


def declared_dependencies() -> set[str]:
    return {*PROJECT["dependencies"], *PYPROJECT["dependency-groups"]["dev"]}


def project_files() -> list[Path]:
    """The files that git tracks or would; in a copy without git, those that look like it."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        ignored = {".venv", "uv.lock", "__pycache__", ".pytest_cache", ".ruff_cache", ".hypothesis"}
        paths = [path for path in ROOT.rglob("*") if not ignored & set(path.parts)]
    return [path for path in paths if path.is_file()]


def project_texts() -> Iterator[tuple[str, str]]:
    for path in project_files():
        try:
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # an image or an archive


# --- one list of dependencies, three files -----------------------------------------------------


def test_conda_lists_the_same_dependencies():
    environment = yaml.safe_load(read("environment.yml"))
    *conda, from_pip = environment["dependencies"]
    packages = [line for line in from_pip["pip"] if not line.startswith("--")]
    assert len(packages) == len(set(packages))
    assert set(packages) == declared_dependencies()
    assert [line for line in from_pip["pip"] if line.startswith("--")] == [
        "--constraint .ci/requirements.txt",
        "--editable .",
    ]
    assert conda == [f"python{PROJECT['requires-python']}", "pip"]


def pinned() -> list[Requirement]:
    return [Requirement(line) for line in read(".ci/requirements.txt").splitlines()]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_each_dependency_has_one_pin_within_its_bounds(python, platform):
    machine = {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "sys_platform": platform,
        "platform_machine": "arm64" if platform == "darwin" else "x86_64",
    }
    for wanted in map(Requirement, declared_dependencies()):
        pins = [
            pin
            for pin in pinned()
            if pin.name == wanted.name and (pin.marker is None or pin.marker.evaluate(machine))
        ]
        assert len(pins) == 1, f"{wanted.name}: {pins}"
        (version,) = pins[0].specifier
        assert version.operator == "=="
        assert wanted.specifier.contains(version.version), f"{pins[0]} is not {wanted}"


def test_pins_hold_no_address_and_no_option():
    for line in read(".ci/requirements.txt").splitlines():
        assert re.match(r"[a-z0-9._-]+==[^\s/@]+( ; [^/@]+)?$", line), line


# --- one version, one address ------------------------------------------------------------------


def test_version_is_the_same_everywhere():
    citation = yaml.safe_load(read("CITATION.cff"))
    releases = re.findall(r"^## \[(\d[^\]]*)\] - (\S+)$", read("CHANGELOG.md"), re.MULTILINE)
    newest, date = releases[0]
    assert PROJECT["version"] == cnnlib.__version__ == citation["version"] == newest
    assert citation["date-released"] == date
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", date)


def test_citation_names_all_that_the_format_requires():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert " AND ".join(citation["license"]) == PROJECT["license"]


def test_pyproject_holds_one_address():
    assert re.findall(r"\w+://[^\s\"']+", read("pyproject.toml")) == [ADDRESS]


def without_generated_parts(path: str, text: str) -> str:
    """The text less what sync writes from the address in pyproject.toml."""
    if path == "README.md":
        return re.sub(r"<!-- course:begin -->.*<!-- course:end -->", "", text, flags=re.DOTALL)
    if path.startswith("notebooks/") and path.endswith(".ipynb"):
        cells = json.loads(text)["cells"]
        mine = [cell for cell in cells if "generated" not in cell["metadata"].get("tags", [])]
        return json.dumps(mine)
    return text


def test_only_pyproject_and_generated_parts_name_the_repository():
    owner_and_name = ADDRESS.removeprefix("https://github.com/").rstrip("/")
    assert owner_and_name.count("/") == 1
    named = [
        path
        for path, text in project_texts()
        # The text of a notebook is tested to be the same as its cells, where we look.
        if not path.startswith("notebooks/text/")
        and owner_and_name in without_generated_parts(path, text)
    ]
    assert named == ["pyproject.toml"]


def test_no_path_of_a_machine_is_stored():
    places = r"/home/[a-z]\w*/|/Users/[A-Za-z]\w*/|/root/|[A-Z]:\\+Users\\"
    if len(ROOT.parts) > 2:  # a checkout right under / has a name too short to be told from a word
        places += f"|{re.escape(ROOT.as_posix())}(?![\\w-])"
    pattern = re.compile(places)
    found = {
        path: match.group()
        for path, text in project_texts()
        if path != "tests/test_environment.py" and (match := pattern.search(text))
    }
    assert found == {}


# --- the commands in the README are the ones that run ------------------------------------------


def test_readme_shows_both_commands():
    blocks = re.findall(r"^```\n(.*?)\n```$", read("README.md"), re.MULTILINE | re.DOTALL)
    assert blocks[:2] == [OPEN_COMMAND, TEST_COMMAND]


def test_readme_has_a_place_for_the_course_table():
    readme = read("README.md")
    assert readme.count("<!-- course:begin -->") == readme.count("<!-- course:end -->") == 1


def test_ci_ends_with_the_command_of_the_readme():
    script = read(".ci/run")
    assert script.splitlines()[-1] == TEST_COMMAND
    assert "set -euo pipefail" in script


def run_ci(folder: Path, pip_status: int, uv_status: int) -> subprocess.CompletedProcess:
    """Run .ci/run with every program that it calls replaced by one that only says so."""
    programs = folder / "programs"
    programs.mkdir()
    for name, status in {
        "pip": pip_status,
        "uv": uv_status,
        "git": 0,
        "chromium": 0,
        "bwrap": 0,
    }.items():
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $@"\nexit {status}\n')
        (programs / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", str(ROOT / ".ci" / "run")], env=environment, capture_output=True, text=True
    )


@pytest.mark.skipif(sys.platform == "win32", reason=".ci/run is for Linux and macOS")
@pytest.mark.parametrize(("pip_status", "uv_status"), [(0, 0), (1, 0), (0, 5)])
def test_ci_fails_when_a_step_fails(tmp_path, pip_status, uv_status):
    done = run_ci(tmp_path, pip_status, uv_status)
    assert done.returncode == (pip_status or uv_status), done.stderr
    assert f"ended with status {done.returncode} after" in done.stdout
    assert ("uv run pytest" in done.stdout) == (pip_status == 0)


def test_workflow_runs_the_command_on_the_oldest_and_newest_python():
    workflow = yaml.safe_load(read(".github/workflows/tests.yml"))
    job = workflow["jobs"]["tests"]
    assert job["strategy"]["matrix"]["python"] == [PYTHONS[0], PYTHONS[-1]]
    assert [os_name.split("-")[0] for os_name in job["strategy"]["matrix"]["os"]] == [
        "ubuntu",
        "macos",
        "windows",
    ]
    commands = {step.get("if"): step["run"] for step in job["steps"] if "run" in step}
    assert commands["runner.os == 'Linux'"] == "bash .ci/run"
    assert commands["runner.os != 'Linux'"] == TEST_COMMAND
    # YAML 1.1 reads the key `on` as true.
    assert {"push", "pull_request"} <= set(workflow[True])


def test_readme_and_environments_name_the_same_pythons():
    assert f"Python {PYTHONS[0]} to {PYTHONS[-1]} " in read("README.md")
    image = json.loads(read(".devcontainer/devcontainer.json"))["image"]
    assert image.rpartition(":")[2] in PYTHONS


@pytest.mark.parametrize("name", ["page.yml", "broken.yml"])
def test_issue_form_is_complete(name):
    form = yaml.safe_load(read(f".github/ISSUE_TEMPLATE/{name}"))
    assert form["name"]
    assert form["description"]
    for part in form["body"]:
        assert part["type"] in {"input", "textarea"}
        assert part["id"]
        assert part["attributes"]["label"]


# --- the code is tidy ---------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=["check", "format"])
def test_ruff_is_content(command):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# --- `jupyter lab` opens on notebook 00 ----------------------------------------------------------


class KeepRedirect(urllib.request.HTTPRedirectHandler):
    """Answers a redirect itself, where urllib would follow it."""

    def redirect_request(self, *arguments):
        return None


@contextmanager
def jupyter_lab(folder: Path, private: Path) -> Iterator[dict]:
    """A server started in `folder` as the README starts it; yields its address and token."""
    private.mkdir()
    names = ("CONFIG_DIR", "RUNTIME_DIR", "DATA_DIR")
    environment = {**os.environ, **{f"JUPYTER_{name}": str(private / name) for name in names}}
    log = private / "log.txt"
    # Not `jupyter lab`: on Windows that starts a child, which would outlive its parent.
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.port=0"]
    if folder != ROOT:
        command.append("--allow-root")
    with log.open("w") as output:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield wait_for_server(server, private / "RUNTIME_DIR", log)
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_for_server(server: subprocess.Popen, runtime: Path, log: Path) -> dict:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and server.poll() is None:
        for found in runtime.glob("jpserver-*.json"):
            try:
                details = json.loads(found.read_text(encoding="utf-8"))
                ask(details, "api")
            except (OSError, json.JSONDecodeError):
                break  # half written, or not listening yet
            return details
        time.sleep(0.2)
    raise RuntimeError(f"jupyter lab did not start: {log.read_text(encoding='utf-8')[-2000:]}")


def ask(details: dict, path: str) -> tuple[int, str | None, str]:
    """GET a path: the status, where it redirects to, the body."""
    request = urllib.request.Request(details["url"] + path)
    request.add_header("Authorization", f"token {details['token']}")
    try:
        with urllib.request.build_opener(KeepRedirect).open(request, timeout=30) as response:
            return response.status, None, response.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers.get("Location"), ""


def opening_page(details: dict) -> str:
    status, location, _ = ask(details, "")
    assert status == 302
    return location.partition("?")[0]


def test_the_lab_opens_on_notebook_00_without_news_and_with_jupytext(tmp_path):
    with jupyter_lab(ROOT, tmp_path / "private") as details:
        assert opening_page(details) == f"/lab/tree/{FIRST_NOTEBOOK}"
        status, _, page = ask(details, f"lab/tree/{FIRST_NOTEBOOK}")
        assert status == 200
        assert "jupyter-config-data" in page

        news = "@jupyterlab/apputils-extension:notification"
        _, _, settings = ask(details, f"lab/api/settings/{news}")
        assert json.loads(settings)["schema"]["properties"]["fetchNews"]["default"] == "false"

        text = FIRST_NOTEBOOK.replace("notebooks/", "notebooks/text/").replace(".ipynb", ".md")
        status, _, opened = ask(details, f"api/contents/{text}?type=notebook")
        assert status == 200
        assert json.loads(opened)["content"]["cells"]


def test_the_lab_opens_as_usual_in_another_folder(tmp_path):
    with jupyter_lab(tmp_path, tmp_path / "private") as details:
        assert opening_page(details) == "/lab"


def test_installed_settings_are_those_of_the_checkout():
    shared = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert len(shared) == 2
    for source, target in shared.items():
        installed = Path(sys.prefix) / target
        assert installed.read_text(encoding="utf-8") == read(source), f"reinstall: {installed}"
