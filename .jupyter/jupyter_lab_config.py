"""What `jupyter lab` does in the course's environment; pyproject.toml has it installed there."""

from pathlib import Path

FIRST_NOTEBOOK = "notebooks/00_start_here.ipynb"

c = get_config()  # noqa: F821  Jupyter puts get_config in scope when it reads this file.

# Started in the course's folder, the Lab opens on notebook 00; anywhere else it opens as usual.
if Path(FIRST_NOTEBOOK).is_file():
    c.LabApp.default_url = f"/lab/tree/{FIRST_NOTEBOOK}"
    # In a container root is often the only user. The server still listens on this machine alone.
    c.ServerApp.allow_root = True
