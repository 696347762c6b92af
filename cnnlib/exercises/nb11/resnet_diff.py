"""Where do two ResNets with the same weights part? Both run on one batch, layer by layer.

torch is imported when a check runs, never when this package is imported.
"""

from dataclasses import dataclass, field
from typing import Any

from cnnlib.exercises.nb11.modules import attempt_raw, near

SETTINGS_OF_LAYERS = ("stride", "padding", "dilation", "groups", "padding_mode", "eps", "momentum")


@dataclass
class Trace:
    """What went into each named module and what came out, and how the run ended."""

    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    logits: Any = None
    error: BaseException | None = None


@dataclass(frozen=True)
class Difference:
    """The first place where the learner's network differs: its name, what is seen, the cause."""

    place: str
    seen: str
    cause: str


def run(model: Any, images: Any, names: list[str]) -> Trace:
    """Send images through; note every named module's first input and output, as far as it comes."""
    import torch

    trace, handles = Trace(), []
    modules = dict(model.named_modules())

    def before(name):
        def note(module, args):
            if args and isinstance(args[0], torch.Tensor):
                trace.inputs.setdefault(name, args[0].detach().clone())

        return note

    def after(name):
        def note(module, args, output):
            if isinstance(output, torch.Tensor):
                trace.outputs.setdefault(name, output.detach().clone())

        return note

    for name in names:
        if name in modules:
            handles.append(modules[name].register_forward_pre_hook(before(name)))
            handles.append(modules[name].register_forward_hook(after(name)))
    try:
        with torch.no_grad():
            trace.logits, trace.error = attempt_raw(model, images.clone())
    finally:
        for handle in handles:
            handle.remove()
    return trace


def names_in_order(right: Any) -> list[str]:
    """Layers with weights, and blocks: each block after the layers in it, as they finish."""
    from torch import nn

    names = ["conv1", "bn1"]
    for stage in ("layer1", "layer2", "layer3", "layer4"):
        for number, block in enumerate(getattr(right, stage)):
            prefix = f"{stage}.{number}"
            inside = [f"{prefix}.{name}" for name, m in block.named_modules() if is_layer(m, nn)]
            names += [*inside, prefix]
    return [*names, "fc"]


def is_layer(module: Any, nn: Any) -> bool:
    return isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear)


def first_difference(mine: Any, right: Any, images: Any) -> Difference | None:
    """The first difference in the order in which the layers run; None when there is none."""
    names = names_in_order(right)
    theirs, yours = run(right, images, names), run(mine, images, names)
    for name in names:
        entered, wanted = yours.inputs.get(name), theirs.inputs[name]
        if entered is None:
            if _is_block(name):
                continue  # written without a module of that name being called: its layers tell
            cause = f"Is self.{name} called in forward, and only once, in its place?"
            return Difference(name, "this layer has its weights but is never run", cause)
        if not near(entered, wanted) and not _is_block(name):
            cause = _between(name, yours, theirs, right)
            return Difference(name, f"what enters it {_how(entered, wanted)}", cause)
        left, wanted = yours.outputs.get(name), theirs.outputs[name]
        if left is not None and not near(left, wanted):
            if _is_block(name):
                cause = _of_block(name, left, yours, theirs)
                return Difference(name, f"its layers agree; what leaves it {_how(left, wanted)}",
                                  cause)  # fmt: skip
            cause = _of_layer(name, mine, right)
            return Difference(name, f"what leaves it {_how(left, wanted)}", cause)
    if not near(yours.logits, theirs.logits):
        seen = "all layers agree, up to and with fc; what the network returns does not"
        return Difference("the end", seen, _of_end(yours.logits, theirs.logits))
    return None


def _is_block(name: str) -> bool:
    return name.startswith("layer") and name.count(".") == 1


def _how(got: Any, wanted: Any) -> str:
    if got.shape != wanted.shape:
        return f"has shape {tuple(got.shape)} and should have {tuple(wanted.shape)}"
    off = float((got - wanted).abs().max())
    return f"has the right shape {tuple(got.shape)} and other values, off by up to {off:.2g}"


def _of_layer(name: str, mine: Any, right: Any) -> str:
    """The same went in, something else came out: a setting that no weight shows."""
    layer, wanted = (dict(model.named_modules())[name] for model in (mine, right))
    for setting in SETTINGS_OF_LAYERS:
        got, should = getattr(layer, setting, None), getattr(wanted, setting, None)
        if got != should and should is not None:
            said = f"{name}: {setting} is {got} and should be {should}."
            return f"{said} {_remark(name, setting, mine, right)}".strip()
    return f"{name} is a {type(layer).__name__}; is there anything in it besides its weights?"


def _remark(name: str, setting: str, mine: Any, right: Any) -> str:
    prefix, _, last = name.rpartition(".")
    modules, theirs = dict(mine.named_modules()), dict(right.named_modules())
    in_bottleneck = setting == "stride" and f"{prefix}.conv3" in theirs
    second = getattr(modules.get(f"{prefix}.conv2"), "stride", None)
    if in_bottleneck and last == "conv1" and second == (1, 1):
        return (
            "The paper has a bottleneck's stride in the first 1 × 1; torchvision has it in the "
            "3 × 3, conv2 (v1.5)."
        )
    if setting == "stride" and last in ("conv2", "conv3"):
        where = "conv2, the 3 × 3" if f"{prefix}.conv3" in theirs else "conv1"
        return f"In this block the stride belongs to {where}."
    if setting == "stride" and ".downsample" in name:
        return "The shortcut shrinks as much as the block does."
    if setting == "stride" and name.startswith("layer1"):
        return "The first stage keeps the size; the pooling has just halved it."
    return ""


def _between(name: str, yours: Trace, theirs: Trace, right: Any) -> str:
    """The layer before agrees, what enters this one does not: pooling, activation, addition."""
    entered = yours.inputs[name]
    prefix, _, last = name.rpartition(".")
    if name == "conv1":
        return "The images go into conv1 as they are: no scaling, no cast."
    if last in ("conv2", "conv3") and prefix:
        norm = f"{prefix}.bn{int(last[-1]) - 1}"
        known = {
            f"The ReLU after {norm} is missing.": theirs.outputs[norm],
            f"The ReLU came before {norm}: the order is convolution, batch norm, ReLU.": None,
        }
        return _match(entered, known) or f"Between {norm} and {name} stands one ReLU, no more."
    if last.startswith("bn") or ".downsample.1" in name or name == "bn1":
        if near(entered, theirs.inputs[name].relu()):
            return f"There is a ReLU before {name}: the order is convolution, batch norm, ReLU."
        return f"What {name} gets is its convolution's output, unchanged."
    if name == "layer1.0.conv1" or name.startswith("layer1.0.downsample"):
        return _of_stem(entered, theirs.outputs["bn1"])
    if ".downsample" in name:
        return "The shortcut begins at the block's input, the same that conv1 gets."
    if name == "fc":
        return _of_pooling(entered, theirs)
    before = _block_before(name, right)
    return _of_block(before, entered, yours, theirs)


def _of_stem(entered: Any, normed: Any) -> str:
    import torch.nn.functional as F

    active = normed.relu()
    known = {
        "The ReLU after bn1 is missing.": F.max_pool2d(normed, 3, 2, 1),
        "The max pooling after the stem is missing: 3 × 3, stride 2, padding 1.": active,
        "ReLU and max pooling after bn1 are missing.": normed,
        "The pooling after the stem takes the maximum, not the mean.": F.avg_pool2d(
            active, 3, 2, 1
        ),
        "The max pooling's padding is missing: 3 × 3, stride 2, padding 1.": F.max_pool2d(
            active, 3, 2
        ),
        "The max pooling has windows of 2 × 2; here they are 3 × 3, stride 2, padding 1, and "
        "overlap.": F.max_pool2d(active, 2, 2),
        "The max pooling rounds up (ceil_mode); here it has padding=1 instead.": F.max_pool2d(
            active, 3, 2, ceil_mode=True
        ),
        "The pooling has stride 1; it is 3 × 3, stride 2, padding 1.": F.max_pool2d(
            active, 3, 1, 1
        ),
    }
    return _match(entered, known) or (
        "Between bn1 and the first block stand a ReLU and a max pooling: 3 × 3, stride 2, "
        "padding 1."
    )


def _of_pooling(entered: Any, theirs: Trace) -> str:
    last = [name for name in theirs.outputs if name.startswith("layer4.") and name.count(".") == 1]
    maps = theirs.outputs[last[-1]]
    known = {
        "The mean over all positions is wanted, not the maximum.": maps.amax(dim=(2, 3)),
        "The mean over all positions is wanted, not the sum.": maps.sum(dim=(2, 3)),
    }
    if entered.ndim != 2 or entered.shape[1] != maps.shape[1]:
        return (
            "Before fc comes the average pooling over all positions, nn.AdaptiveAvgPool2d(1), and "
            "flatten(1): one number for each map."
        )
    if entered.shape[0] != maps.shape[0]:
        return "flatten(1) leaves the first axis, the images, alone."
    return _match(entered, known) or "Between the last block and fc stands the mean of each map."


def _of_block(name: str, left: Any, yours: Trace, theirs: Trace) -> str:
    """All layers of a block agree, its output does not: which sum would give it?"""
    norm = f"{name}.bn3" if f"{name}.bn3" in theirs.outputs else f"{name}.bn2"
    main = theirs.outputs[norm]
    entered = theirs.inputs[f"{name}.conv1"]
    aside = theirs.outputs.get(f"{name}.downsample.1", entered)
    known = {
        "A ReLU came before the addition: add the shortcut first, then one ReLU.": (
            main.relu() + aside
        ),
        "The last ReLU, after the addition, is missing.": main + aside,
        "The shortcut is not added.": main.relu(),
        "The shortcut is not added, and the last ReLU is missing.": main,
        f"A ReLU stands between {norm} and the addition; there is only one, after it.": (
            main.relu() + aside
        ).relu(),
        "The shortcut has a ReLU of its own before it is added.": (main + aside.relu()).relu(),
        "Only the shortcut is returned.": aside,
        f"{norm} is added to itself in place of the shortcut.": (2 * main).relu(),
        "The shortcut is subtracted.": (main - aside).relu(),
        "The shortcut and the branch are averaged; they are added.": ((main + aside) / 2).relu(),
    }
    convolved = theirs.outputs.get(f"{name}.downsample.0")
    if convolved is not None:
        words = "The shortcut's batch norm, downsample.1, is not used."
        known[words] = (main + convolved).relu()
    return _match(left, known) or f"After {norm}: add the shortcut, then ReLU, and nothing else."


def _block_before(name: str, right: Any) -> str:
    blocks = [other for other, _ in right.named_modules() if _is_block(other)]
    return blocks[blocks.index(".".join(name.split(".")[:2])) - 1]


def _of_end(got: Any, wanted: Any) -> str:
    known = {
        "The network ends in a softmax; logits are wanted.": wanted.softmax(dim=1),
        "The network ends in a log_softmax; logits are wanted.": wanted.log_softmax(dim=1),
        "The network ends in a sigmoid; logits are wanted.": wanted.sigmoid(),
        "The network ends in a ReLU; logits are wanted.": wanted.relu(),
    }
    return _match(got, known) or "forward returns what fc gives, logits (N, 1000), unchanged."


def _match(got: Any, known: dict[str, Any]) -> str:
    return next((says for says, value in known.items() if value is not None and near(got, value)),
                "")  # fmt: skip
