"""The convolution explorer: nine numbers, padding and stride by slider, the result at once."""

import html
import threading

import ipywidgets
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from PIL import Image

from cnnlib import ops
from cnnlib.plots import ACCENT
from cnnlib.widgets.shown import live_and_stored, png_bytes

# Nine numbers, and what they are divided by: sliders can hold 1 and 9, but not 1/9.
KERNELS = {
    "identity": (((0, 0, 0), (0, 1, 0), (0, 0, 0)), 1),
    "blur": (((1, 1, 1), (1, 1, 1), (1, 1, 1)), 9),
    "sharpen": (((0, -1, 0), (-1, 5, -1), (0, -1, 0)), 1),
    "horizontal edges": (((-1, -2, -1), (0, 0, 0), (1, 2, 1)), 1),
    "vertical edges": (((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)), 1),
    "emboss": (((-2, -1, 0), (-1, 1, 1), (0, 1, 2)), 1),
}
OWN = "my own"
STEP = 0.25
READOUT = '<div role="status" style="white-space: pre-wrap">{}</div>'


def convolution_explorer(image, *, kernel=None, max_size: int = 128) -> "ConvolutionExplorer":
    """Slide a 3×3 kernel over an image and watch the result change with every number.

    Args:
        image: grey image (H, W) or (1, H, W), float of any range, or uint8 (taken as value / 255).
        kernel: the nine starting values (3, 3), multiples of 0.25 from -5 to 5; None starts with
            vertical edges.
        max_size: pixels; a larger image is averaged down until its longer side fits.

    Returns:
        The explorer. Its `result` is what `ops.conv2d` gave, (out_h, out_w), or None where there
        is no output; its controls are attributes: `preset`, `cells` (nine), `divisor`, `padding`,
        `stride`, `row`, `column`, `magnitude`.

    Raises:
        TypeError: the image is neither float nor uint8.
        ValueError: the image has another shape, or the kernel is not nine such values.

    Example:
        >>> explorer = convolution_explorer(np.zeros((64, 64)))
        >>> explorer.padding.value, explorer.stride.value = 1, 2
        >>> explorer.result.shape
        (32, 32)

    Taught in notebook 02.
    """
    kernel = np.array(KERNELS["vertical edges"][0] if kernel is None else kernel, dtype=float)
    steps = kernel / STEP
    if kernel.shape != (3, 3) or not ((np.abs(kernel) <= 5) & (steps == np.round(steps))).all():
        raise ValueError(
            f"expected a kernel (3, 3) of multiples of {STEP} from -5 to 5, got {kernel}; "
            "for other values set `divisor` as well, or use ops.conv2d"
        )
    return ConvolutionExplorer(_grey_image(image, max_size), kernel)


class ConvolutionExplorer:
    """Controls, figure and readout of `convolution_explorer`; `widget` holds them all."""

    def __init__(self, image: np.ndarray, kernel: np.ndarray):
        self.image, self.result, self.problem = image, None, ""
        # A front end may have the messages of two controls handled in two threads at once.
        self._lock, self._updating = threading.RLock(), False
        self.panels = _Panels(image)
        self.preset = ipywidgets.Dropdown(
            options=[*KERNELS, OWN], value=OWN, description="kernel preset", style=_label(90)
        )
        self.cells = [
            ipywidgets.FloatSlider(value, min=-5, max=5, step=STEP, description=f"w[{r}, {c}]")
            for (r, c), value in np.ndenumerate(kernel)
        ]
        self.divisor = ipywidgets.IntSlider(1, min=1, max=16, description="divide by")
        self.padding = ipywidgets.IntSlider(0, min=0, max=3, description="padding")
        self.stride = ipywidgets.IntSlider(1, min=1, max=4, description="stride")
        rows, columns = image.shape
        self.row = ipywidgets.IntSlider(rows // 2, min=0, max=rows, description="result row")
        self.column = ipywidgets.IntSlider(
            columns // 2, min=0, max=columns, description="result column"
        )
        self.magnitude = ipywidgets.Checkbox(description="show |values| in grey", indent=False)
        self.figure = ipywidgets.Image(format="png")
        self.readout = ipywidgets.HTML()
        self.widget = self._lay_out()
        controls = [self.divisor, self.padding, self.stride, self.row, self.column, self.magnitude]
        for control in [self.preset, *self.cells, *controls]:
            control.observe(self._on_change, names="value")
        self._update()

    def _lay_out(self) -> ipywidgets.VBox:
        for cell in self.cells:
            cell.style, cell.layout.width = _label(46), "184px"
        places = [self.padding, self.stride, self.row, self.column]
        for slider in [self.divisor, *places]:
            slider.style, slider.layout.width = _label(92), "280px"
        self.figure.layout.align_self = "flex-start"  # a VBox would stretch it
        self.figure.layout.max_width = "100%"
        grid = [ipywidgets.HBox(self.cells[start : start + 3]) for start in (0, 3, 6)]
        kernel = ipywidgets.VBox([ipywidgets.HBox([self.preset, self.divisor]), *grid])
        options = ipywidgets.VBox([*places, self.magnitude])
        controls = ipywidgets.HBox([kernel, options])
        controls.layout.flex_flow = "row wrap"
        return ipywidgets.VBox([controls, self.figure, self.readout])

    @property
    def kernel(self) -> np.ndarray:
        """The nine values of the sliders, divided by the divisor, (3, 3)."""
        return np.array([cell.value for cell in self.cells]).reshape(3, 3) / self.divisor.value

    def describe(self) -> str:
        """The shapes in one line, or why there is no output."""
        rows, columns = self.image.shape
        setting = f"padding {self.padding.value}, stride {self.stride.value}"
        output = self.problem if self.result is None else f"output {self.result.shape}"
        return f"input ({rows}, {columns}), kernel 3×3, {setting} → {output}"

    def __repr__(self) -> str:
        return f"ConvolutionExplorer: {self.describe()}"

    def _repr_mimebundle_(self, include=None, exclude=None):
        alt = f"Input image, kernel and result side by side: {self.describe()}."
        picture = bytes(self.figure.value)  # ipywidgets 8 keeps a memoryview
        return live_and_stored(self.widget, picture, repr(self), alt=alt)

    def _on_change(self, change) -> None:
        with self._lock:
            if not self._updating:  # else it is one of ours, made by the update under way
                self._update(change.new if change.owner is self.preset else None)

    def _update(self, chosen: str | None = None) -> None:
        """Show the present values; `chosen` is the preset that the reader has just picked."""
        self._updating = True
        try:
            if chosen in KERNELS:
                values, self.divisor.value = KERNELS[chosen]
                for cell, value in zip(self.cells, np.ravel(values), strict=True):
                    cell.value = value
            self.preset.value = chosen or self._preset_name()
            self._convolve()
            place = (self.row.value, self.column.value)
            options = (self.padding.value, self.stride.value, self.magnitude.value)
            self.figure.value = self.panels.draw(self.kernel, self.result, place, *options)
            self.readout.value = READOUT.format(html.escape(self._report()))
        finally:
            self._updating = False

    def _preset_name(self) -> str:
        """The preset that has just these values, if there is one."""
        now = ([cell.value for cell in self.cells], self.divisor.value)
        same = (
            n for n, (values, divisor) in KERNELS.items() if ([*np.ravel(values)], divisor) == now
        )
        return next(same, OWN)

    def _convolve(self) -> None:
        images, weight = self.image[None, None], self.kernel[None, None]
        try:
            self.result = ops.conv2d(
                images, weight, stride=self.stride.value, padding=self.padding.value
            )[0, 0]
        except ValueError as error:
            self.result, self.problem = None, f"no output: {error}"
        rows, columns = (1, 1) if self.result is None else self.result.shape
        self.row.max, self.column.max = rows - 1, columns - 1  # moves a slider that stood beyond

    def _report(self) -> str:
        """Shapes, the range of the values, and the sum behind the value whose window is drawn."""
        if self.result is None:
            return self.describe()
        row, column, stride = self.row.value, self.column.value, self.stride.value
        padded = np.pad(self.image, self.padding.value)
        window = padded[row * stride :, column * stride :][:3, :3]
        products = " + ".join(
            f"{_number(pixel)}·{_factor(weight)}"
            for pixel, weight in zip(window.flat, self.kernel.flat, strict=True)
            if weight != 0
        )
        low, high = _number(self.result.min()), _number(self.result.max())
        value = _number(self.result[row, column])
        return (
            f"{self.describe()}; values from {low} to {high}\n"
            f"result[{row}, {column}] = {products or 0} ≈ {value}"
        )


class _Panels:
    """Input, kernel and result side by side: one figure, drawn again for every change."""

    def __init__(self, image: np.ndarray):
        self.image = image
        figure = Figure(figsize=(9.6, 3.7), dpi=100)
        self.canvas = FigureCanvasAgg(figure)
        self.input, self.kernel, self.result = (
            figure.add_axes((left, 0.14, width, 0.72))
            for left, width in ((0.06, 0.29), (0.39, 0.19), (0.63, 0.29))
        )
        low, high = min(image.min(), 0), max(image.max(), 1e-9)
        self.input_picture = self.input.imshow(image, cmap="gray", vmin=low, vmax=high)
        self.kernel_picture = self.kernel.imshow(np.zeros((3, 3)), cmap="cividis", vmin=-5, vmax=5)
        self.result_picture = self.result.imshow(image, cmap="cividis")
        self.numbers = [
            self.kernel.text(column, row, "", ha="center", va="center")
            for row, column in np.ndindex(3, 3)
        ]
        self.border = self.input.add_patch(_frame(image.shape, "0.6", linestyle="--"))
        self.window = self.input.add_patch(_frame((3, 3), ACCENT))
        self.pixel = self.result.add_patch(_frame((1, 1), ACCENT))
        for axes in (self.input, self.result):
            axes.set_xlabel("column (pixels)")
            axes.locator_params(nbins=4, integer=True)
        self.input.set_ylabel("row (pixels)")
        self.kernel.set_axis_off()
        bar = figure.add_axes((0.93, 0.14, 0.012, 0.72))
        self.bar = figure.colorbar(self.result_picture, cax=bar)
        self.bar.locator = MaxNLocator(4)
        bar.set_title("value", fontsize="medium")

    def draw(self, kernel, result, place, padding, stride, magnitude) -> bytes:
        """The panels as PNG; `place` is the (row, column) of the result whose window is marked."""
        self._draw_input(place, padding, stride)
        self.kernel_picture.set_data(kernel)
        for number, weight in zip(self.numbers, kernel.flat, strict=True):
            number.set(text=_number(weight), color="white" if weight < 0.5 else "black")
        self.kernel.set_title("kernel (3, 3)")
        self._draw_result(result, place, magnitude)
        self.canvas.draw()
        return png_bytes(np.asarray(self.canvas.buffer_rgba())[..., :3])

    def _draw_input(self, place, padding, stride) -> None:
        rows, columns = self.image.shape
        padded = np.pad(self.image, padding)
        self.input_picture.set(data=padded, extent=_extent(padded.shape, -padding))
        self.border.set_visible(padding > 0)
        self.window.set_xy([index * stride - padding - 0.5 for index in reversed(place)])
        around = f", padding {padding}" if padding else ""
        self.input.set_title(f"input ({rows}, {columns}){around}")

    def _draw_result(self, result, place, magnitude) -> None:
        for artist in (self.result_picture, self.pixel, self.bar.ax):
            artist.set_visible(result is not None)
        if result is None:
            self.result.set_title("no output")
            return
        largest = max(np.abs(result).max(), 1e-9)
        self.result_picture.set(
            data=np.abs(result) if magnitude else result,
            cmap="gray" if magnitude else "cividis",
            clim=(0 if magnitude else -largest, largest),
            extent=_extent(result.shape),
        )
        self.pixel.set_xy([index - 0.5 for index in reversed(place)])
        self.result.set_title(f"{'|result|' if magnitude else 'result'} {result.shape}")


def _frame(shape, color, **style) -> Rectangle:
    """An empty frame around whole pixels, its corner at pixel (0, 0)."""
    rows, columns = shape
    return Rectangle(
        (-0.5, -0.5), columns, rows, fill=False, edgecolor=color, lw=2, clip_on=False, **style
    )


def _extent(shape, first: int = 0) -> tuple:
    """Where imshow puts an image whose first row and column have index `first`."""
    rows, columns = shape
    return (first - 0.5, first + columns - 0.5, first + rows - 0.5, first - 0.5)


def _number(value: float) -> str:
    """A short number with a real minus sign: -0.5 becomes −0.5, 2.0 becomes 2."""
    return f"{round(float(value), 2) + 0.0:g}".replace("-", "−")


def _factor(value: float) -> str:
    return f"({_number(value)})" if value < 0 else _number(value)


def _label(width: int) -> dict:
    return {"description_width": f"{width}px"}


def _grey_image(image, max_size: int) -> np.ndarray:
    """Float64 (H, W), at most max_size a side, from an image (H, W) or (1, H, W)."""
    image = np.asarray(image)
    if image.dtype != np.uint8 and not np.issubdtype(image.dtype, np.floating):
        raise TypeError(f"expected a float or uint8 image, got {image.dtype}; try image / 255")
    values = image / 255 if image.dtype == np.uint8 else image.astype(float)
    if values.ndim == 3 and len(values) == 1:
        values = values[0]
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(
            f"expected a grey image (H, W) or (1, H, W), got {image.shape}; "
            "for colour (3, H, W) use image.mean(axis=0)"
        )
    shrink = max_size / max(values.shape)
    if shrink < 1:
        rows, columns = (max(round(size * shrink), 1) for size in values.shape)
        picture = Image.fromarray(values.astype(np.float32))
        values = np.asarray(picture.resize((columns, rows), Image.Resampling.BOX), dtype=float)
    return values
