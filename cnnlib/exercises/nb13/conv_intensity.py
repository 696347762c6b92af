"""Exercise 13.2, Work for every byte."""

from cnnlib.exercises.engine import examine_function
from cnnlib.exercises.verdicts import Case, Exercise, Misconception, Verdict


def conv_intensity(N, C, H, W, O, kernel_size, stride=1, padding=0, itemsize=4):
    out_h = (H + 2 * padding - kernel_size) // stride + 1
    out_w = (W + 2 * padding - kernel_size) // stride + 1
    flop = 2 * N * O * out_h * out_w * C * kernel_size**2
    num_values = N * C * H * W + O * C * kernel_size**2 + N * O * out_h * out_w
    return flop / (itemsize * num_values)


def _oracle(N, C, H, W, O, kernel_size, stride=1, padding=0, itemsize=4):
    """Counted on torch's meta device, where there are only shapes."""
    import torch
    from torch import nn

    layer = nn.Conv2d(C, O, kernel_size, stride, padding, bias=False, device="meta")
    images = torch.empty(N, C, H, W, device="meta")
    output = layer(images)
    num_values = images.numel() + layer.weight.numel() + output.numel()
    return 2 * output.numel() * layer.weight[0].numel() / (itemsize * num_values)


def _variant(flop=2.0, size="floor", stride=True, padding=True, parts="iwo", batch=True,
             itemsize=None, turned=False, weights="one", whole=True, outputs=True):  # fmt: skip
    """The intensity with one thing wrong."""

    def wrong(N, C, H, W, O, kernel_size, s=1, p=0, i=4, **named):
        s, p, i = named.get("stride", s), named.get("padding", p), named.get("itemsize", i)
        s, p = (s if stride else 1), (p if padding else 0)
        lengths = [H + 2 * p - kernel_size, W + 2 * p - kernel_size]
        out_h, out_w = (-(-n // s) + 1 if size == "ceil" else n // s + 1 for n in lengths)
        if size == "same":
            out_h, out_w = H, W
        work = flop * N * O * out_h * out_w * C * kernel_size**2
        if not outputs:
            work = flop * N * O * H * W * C * kernel_size**2
        num_weights = O * C * kernel_size**2 * (N if weights == "each" else 1)
        count = N if batch else 1
        values = {"i": count * C * H * W, "w": num_weights, "o": count * O * out_h * out_w}
        if not whole:
            values["i"] = count * C * out_h * out_w * kernel_size**2
        moved = (itemsize or i) * sum(values[part] for part in parts)
        return moved / work if turned else work / moved

    return wrong


MISCONCEPTIONS = (
    Misconception(
        _variant(flop=1.0),
        "You counted multiply-accumulates. Each is two operations, a product and a sum: times 2.",
    ),
    Misconception(
        _variant(parts="io"),
        "The weights are missing among the bytes: they are read as well, once for the batch.",
    ),
    Misconception(
        _variant(parts="iw"),
        "The output is missing among the bytes: what is computed has to be written.",
    ),
    Misconception(
        _variant(parts="wo"), "The input images are missing among the bytes: they are read."
    ),
    Misconception(
        _variant(weights="each"),
        "You let the weights be read once for every image; once for the whole batch is enough.",
    ),
    Misconception(
        _variant(batch=False),
        "The bytes are those of one image, the work is that of the whole batch.",
    ),
    Misconception(
        _variant(itemsize=1),
        "You divided by numbers of values; a value has itemsize bytes.",
    ),
    Misconception(_variant(itemsize=4), "itemsize was ignored: bfloat16 has 2 bytes, not 4."),
    Misconception(_variant(turned=True), "The fraction is upside down: FLOP over bytes."),
    Misconception(
        _variant(stride=False), "stride was ignored: it makes the output smaller, and the work."
    ),
    Misconception(_variant(padding=False), "padding was ignored in the size of the output."),
    Misconception(
        _variant(size="ceil"), "The output's size was rounded up: ⌊(H + 2p − k) / s⌋ + 1, a floor."
    ),
    Misconception(
        _variant(size="same"),
        "The output is not as large as the input: ⌊(H + 2p − k) / s⌋ + 1 rows, and columns alike.",
    ),
    Misconception(
        _variant(outputs=False),
        "The work was counted for H × W outputs; there are out_h × out_w of them.",
    ),
    Misconception(
        _variant(whole=False),
        "You counted the columns of im2col as what is read. At the least each pixel is read once, "
        "however many windows it lies in.",
    ),
)


def _cases():
    return [
        Case((1, 1, 3, 3, 1, 1), {}, "one 3 × 3 image and a 1 × 1 kernel"),
        Case((1, 2, 5, 5, 3, 3), {}, "one image, a 3 × 3 kernel"),
        Case((4, 2, 5, 7, 3, 3), {}, "four images, not square"),
        Case((4, 2, 6, 7, 3, 3), {"padding": 1}, "padding"),
        Case((4, 2, 8, 7, 3, 3), {"stride": 2}, "a stride that leaves a remainder"),
        Case((2, 3, 8, 9, 4, 3), {"stride": 2, "padding": 1}, "stride and padding"),
        Case((2, 3, 8, 9, 4, 3), {"itemsize": 2}, "2 bytes a value"),
        Case((64, 32, 26, 26, 64, 3), {}, "the second layer of the conventional network"),
        Case((128, 256, 7, 7, 1000, 7), {}, "a fully connected layer in disguise"),
    ]


def _examine(answer) -> Verdict:
    return examine_function(
        answer, cases=_cases, oracle=_oracle, misconceptions=MISCONCEPTIONS, tolerance=1e-9
    )


EXERCISE = Exercise(
    id="13.2",
    title="Work for every byte",
    objective="compute the arithmetic intensity of a convolution from its shapes",
    level=1,
    minutes=15,
    points=2,
    hints=(
        "Above the line: two operations for each multiply-accumulate, and notebook 03 counts "
        "those. Below: three tensors, each moved once.",
        "out_h = (H + 2 * padding - kernel_size) // stride + 1. Values: N·C·H·W read, "
        "O·C·k·k weights, N·O·out_h·out_w written; times itemsize.",
    ),
    solution=conv_intensity,
    examine=_examine,
)
