"""Pictures of a notebook as it looks in JupyterLab after Run All, one for each screenful.

uv run python -m tests.browser.shots notebooks/02_convolution.ipynb FOLDER
"""

import shutil
import sys
import tempfile
from pathlib import Path

from tests.browser.conftest import chromium, lab_server, new_page, open_notebook, run_all


def save_screenfuls(page, folder: Path, stem: str) -> int:
    """Scroll through the open notebook and save each part of it; returns how many."""
    area = page.locator(".jp-WindowedPanel-outer")
    step = area.evaluate("area => area.clientHeight - 60")  # a little overlap
    full = area.evaluate("area => area.scrollHeight")
    tops = range(0, full, step)
    for number, top in enumerate(tops):
        area.evaluate("(area, top) => { area.scrollTop = top; }", top)
        page.wait_for_timeout(300)
        area.screenshot(path=folder / f"{stem}_{number:02d}.png")
    return len(tops)


def main(notebook: str, folder: str) -> None:
    path, folder = Path(notebook), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        served = Path(place) / "notebooks"
        served.mkdir()
        shutil.copy(path, served)
        with lab_server(Path(place), served) as address, chromium() as browser:
            page = new_page(browser, address)
            open_notebook(page, path.name)
            page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
            run_all(page, limit_s=600)
            page.wait_for_timeout(2000)
            print(save_screenfuls(page, folder, path.stem), "pictures in", folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
