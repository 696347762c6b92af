"""A real JupyterLab on this machine and a real browser to look at it with."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, sync_playwright

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},  # render cells that are out of sight
}
# A notebook with each thing that answers, apart from the course's prose.
EXPLORERS = [
    """import numpy as np
from cnnlib import widgets
from cnnlib.exercises import check

step = np.zeros((32, 48))
step[:, 24:] = 1.0
widgets.convolution_explorer(step)""",
    """def more_ink_is_more(image):
    probabilities = np.zeros(10)
    probabilities[9 if image[0, :, :14].sum() > image[0, :, 14:].sum() else 1] = 1
    return probabilities

pad = widgets.digit_pad(more_ink_is_more)
pad""",
    """def unfinished(*arguments):
    raise NotImplementedError

check("02.1", unfinished)""",
]
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@contextmanager
def lab_server(folder: Path, notebooks: Path):
    """JupyterLab on a free port of the loopback, serving `notebooks`; yields its address.

    Everything it writes (settings, sessions, a learner's progress) goes to `folder`.
    """
    for name, setting in SETTINGS.items():
        path = folder / f"settings/@jupyterlab/{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(setting))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    places = {
        "JUPYTER_CONFIG_DIR": folder / "config",
        "JUPYTER_DATA_DIR": folder / "data",
        "JUPYTER_RUNTIME_DIR": folder / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": folder / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces",
        "IPYTHONDIR": folder / "ipython",
        "CNN_WORKBOOK_HOME": folder / "home",
    }
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": notebooks,
        "ServerApp.allow_root": True,  # a container's only user
        "IdentityProvider.token": "",
        "LabApp.expose_app_in_browser": True,  # lets a test run a menu's command
        "LabApp.extension_manager": "readonly",
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser"]
    command += [f"--{name}={value}" for name, value in options.items()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"} | {k: str(v) for k, v in places.items()}
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=notebooks, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: server.poll() is not None or answers(address), 60, "the server to start")
        assert server.poll() is None, (folder / "server.log").read_text()
        yield address
    finally:
        server.terminate()
        server.wait(20)


def answers(address: str) -> bool:
    try:
        get_json(f"{address}/api/status")
    except OSError:
        return False
    return True


def get_json(address: str):
    with urllib.request.urlopen(address, timeout=10) as reply:
        return json.load(reply)


def wait_until(condition, limit_s: float, what: str):
    """The first true answer of `condition`, asked five times a second."""
    end = time.monotonic() + limit_s
    while not (answer := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {limit_s} s for {what}")
        time.sleep(0.2)
    return answer


@contextmanager
def chromium():
    """The Chromium that is installed on this machine; nothing is downloaded."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=QUIET)
        yield browser
        browser.close()


def new_page(browser, address: str) -> Page:
    page = browser.new_page(base_url=address, viewport={"width": 1300, "height": 1500})
    page.set_default_timeout(20_000)
    return page


def chromium_path() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next(filter(None, map(shutil.which, names)), None)


def open_notebook(page: Page, name: str) -> None:
    """Open a notebook in the Lab and wait until its kernel is there and idle."""
    page.goto(f"/lab/tree/{name}?reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell")

    def kernel_is_idle() -> bool:
        for button in page.locator(".jp-Dialog .jp-mod-accept").all():
            button.click()  # a question, such as which kernel to take: the default is right
        sessions = page.request.get("/api/sessions").json()
        states = [s["kernel"]["execution_state"] for s in sessions if s["path"] == name]
        return states == ["idle"]

    wait_until(kernel_is_idle, 60, f"the kernel of {name}")


def run_all(page: Page, limit_s: float = 300) -> dict:
    """Run every cell of the open notebook, as its menu does; returns the notebook as a dict."""
    page.evaluate("""() => {
        const finished = () => { window.allCellsRan = true; };
        window.allCellsRan = false;
        jupyterapp.commands.execute("notebook:run-all-cells").then(finished);
    }""")
    page.wait_for_function("window.allCellsRan", timeout=limit_s * 1000)
    return page.evaluate("jupyterapp.shell.currentWidget.content.model.toJSON()")


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """The address of a Lab that serves a copy of the notebooks: a test never edits the course."""
    if os.environ.get("CNN_WORKBOOK_NO_BROWSER"):
        pytest.skip("CNN_WORKBOOK_NO_BROWSER is set")
    if chromium_path() is None:
        reason = "no Chromium on this machine: apt install chromium, or any Chrome"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    folder = tmp_path_factory.mktemp("lab")
    notebooks = folder / "notebooks"
    notebooks.mkdir()
    for path in NOTEBOOKS.glob("*.ipynb"):
        shutil.copy(path, notebooks)
    cells = [nbformat.v4.new_code_cell(source) for source in EXPLORERS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), notebooks / "explorers.ipynb")
    with lab_server(folder, notebooks) as address:
        yield address


@pytest.fixture(scope="session")
def browser(lab):
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser, lab, request):
    """A fresh page on the Lab."""
    page = new_page(browser, lab)
    yield page
    keep_picture(page, request.node.name)
    page.close()


@pytest.fixture(scope="module")
def explorers(browser, lab):
    """A page with the small notebook EXPLORERS, run once for all the tests of its widgets."""
    page = new_page(browser, lab)
    open_notebook(page, "explorers.ipynb")
    run_all(page)
    yield page
    keep_picture(page, "explorers")
    page.close()


def keep_picture(page: Page, name: str) -> None:
    """What the page shows, for people to look at, in the folder CNN_WORKBOOK_SCREENSHOTS."""
    if folder := os.environ.get("CNN_WORKBOOK_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")
