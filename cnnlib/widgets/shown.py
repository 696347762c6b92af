"""What a cell shows for an explorer: the live widget, or a picture for readers without a kernel."""

import io

import numpy as np
from PIL import Image

VIEW = "application/vnd.jupyter.widget-view+json"


def png_bytes(pixels: np.ndarray) -> bytes:
    """RGB or grey pixels (H, W, 3) or (H, W), uint8, as PNG; compressed lightly, for speed."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def live_and_stored(widget, picture: bytes, text: str, *, alt: str) -> tuple[dict, dict]:
    """A MIME bundle: `widget` where there is a kernel, else the PNG `picture`, else `text`.

    Args:
        widget: the ipywidget that answers.
        picture: what it looks like now, as PNG.
        text: one line that is the same on every machine, because the tests compare it.
        alt: what the picture shows, for those who cannot see it.

    Returns:
        The data and their metadata, as IPython's `_repr_mimebundle_` wants them.
    """
    view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    return {"text/plain": text, "image/png": picture, VIEW: view}, {"image/png": {"alt": alt}}
