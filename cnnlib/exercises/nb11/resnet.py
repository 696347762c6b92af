"""Exercise 11.4, A ResNet that loads torchvision's weights."""

from pathlib import Path
from typing import Any

from cnnlib.exercises.compare import kind
from cnnlib.exercises.nb11 import resnet_diff
from cnnlib.exercises.nb11.bottleneck import explain_keys
from cnnlib.exercises.nb11.modules import (
    attempt_raw,
    features_like,
    fill,
    first_wrong,
    loaded,
    near,
    unfit_class,
    unlike,
)
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_attempted, not_yet, raised

SHAPES = ((2, 3, 48, 48), (1, 3, 43, 70))  # the second has remainders at every halving


def _torchvision(depth: int):
    """torchvision's network, without its slow first weights."""
    import torch
    from torchvision import models

    with torch.device("meta"):
        model = {18: models.resnet18, 50: models.resnet50}[depth](weights=None)
    model = model.double().to_empty(device="cpu")
    fill(model, seed=depth)
    return model


def _explain_keys(missing: list[str], unexpected: list[str]) -> str:
    prefixes = {key.split(".")[0] for key in unexpected}
    if len(prefixes) == 1 and {key.removeprefix(f"{next(iter(prefixes))}.") for key in unexpected}:
        prefix = next(iter(prefixes))
        if set(missing) == {key.removeprefix(f"{prefix}.") for key in unexpected}:
            return (
                f"Everything stands inside self.{prefix}; the stages belong to the network itself."
            )
    if cause := explain_keys(missing, unexpected):
        return cause
    if missing and all(key.startswith("fc.") for key in missing):
        return "The last layer, nn.Linear, is self.fc."
    if any(".bn3." in key for key in missing) and not any("bn3" in key for key in unexpected):
        return "ResNet-50 is made of bottlenecks, with conv3 and bn3; ResNet-18 is not."
    if any(".bn3." in key for key in unexpected):
        return "ResNet-18 is made of blocks of two 3 × 3 convolutions; bottlenecks come with 50."
    stages = {key.split(".")[0] for key in missing + unexpected}
    if stages and all(name.startswith("layer") for name in stages):
        numbers = "2, 2, 2, 2 blocks for 18, and 3, 4, 6, 3 for 50"
        return f"Blocks of a stage are counted from 0, layer1.0, layer1.1, …: {numbers}."
    if any(key.startswith(("conv1", "bn1")) for key in missing):
        return "The stem is self.conv1 and self.bn1; it is no nn.Sequential of its own."
    return ""


def _examine(answer) -> Verdict:
    import torch

    if problem := unfit_class(answer):
        return problem
    for depth in (18, 50):
        at = [("case", f"resnet({depth})")]
        with torch.random.fork_rng(devices=[]):
            mine, error = attempt_raw(answer, depth)
        if isinstance(error, NotImplementedError) and depth == 18:
            return not_attempted()
        if error:
            return raised(error, *at, attempted=depth == 50)
        if problem := _not_own(mine, at):
            return problem
        right = _torchvision(depth)
        if problem := unlike(mine, right, at, _explain_keys):
            return problem
        mine, error = attempt_raw(loaded, mine, right)
        if error:
            return raised(error, *at, attempted=True)
        if problem := _compare(mine, right, at) or _compare_training(mine, right, at):
            return problem
    return correct(
        "torchvision's state_dict loads, strict, into both networks; outputs agree to 1e-9 in "
        "float64 in eval mode and in training, with the statistics that training leaves, and "
        "gradients too."
    )


def _not_own(mine: Any, at: list) -> Verdict | None:
    modules = mine.modules() if hasattr(type(mine), "modules") else []
    made, error = attempt_raw(lambda: {type(module).__module__ for module in modules})
    if not error and any(name.startswith("torchvision.models") for name in made):
        cause = "Write the blocks and the network yourself, from torch's layers."
        return not_yet("That is torchvision's own network.", *at, cause=cause)
    return None


def _compare(mine: Any, right: Any, at: list) -> Verdict | None:
    """Eval mode, two sizes of images."""
    import torch

    for number, shape in enumerate(SHAPES):
        case = [*at, ("images", f"{shape}, in eval mode, with torchvision's weights")]
        images = features_like(shape, seed=number)
        mine.eval()
        right.eval()
        given = images.clone()
        with torch.no_grad():
            got, error = attempt_raw(mine, given)
            wanted = right(images)
        if error is None and near(got, wanted):
            if not torch.equal(given, images):
                cause = "A layer with inplace=True stands first, or something writes into images."
                return not_yet("The images were changed.", *case, cause=cause)
            continue
        return _located(mine, right, images, case, got, wanted, error)
    return None


def _located(mine, right, images, case, got, wanted, error) -> Verdict:
    """The verdict that names the first block, and in it the first layer, that differs."""
    found = resnet_diff.first_difference(mine, right, images)
    where = []
    if found:
        block = ".".join(found.place.split(".")[:2])
        inside = f", in it {found.place}" if block != found.place else ""
        where = [("first difference", f"{block}{inside}: {found.seen}")]
    cause = found.cause if found else "Called twice it gives two results: is something random?"
    if error:
        verdict = raised(error, *case, *where, attempted=True)
        return Verdict(
            outcome=verdict.outcome, headline=verdict.headline, details=verdict.details, cause=cause
        )
    shape = getattr(got, "shape", None)
    pair = [("expected", f"{tuple(wanted.shape)}"), ("got", f"{kind(got)} {tuple(shape or ())}")]
    if shape == wanted.shape:
        pair = first_wrong(got, wanted)
    return not_yet("The logits differ from torchvision's.", *case, *where, *pair, cause=cause)


def _compare_training(mine: Any, right: Any, at: list) -> Verdict | None:
    """One pass in training mode: logits, gradients of the first weights, statistics."""
    import torch

    case = [*at, ("images", "(2, 3, 48, 48), in training mode")]
    images = features_like((2, 3, 48, 48), seed=7)
    results = []
    for model in (mine, right):
        model.train()
        model.zero_grad()
        logits, error = attempt_raw(model, images.clone())
        if not error and isinstance(logits, torch.Tensor):
            _, error = attempt_raw(lambda logits=logits: logits.logsumexp(dim=1).sum().backward())
        if error:
            return raised(error, *case, attempted=True)
        results.append((logits, model.conv1.weight.grad))
    (got, gradient), (wanted, right_gradient) = results
    if not near(got, wanted):
        # The statistics have moved in both; what counts here is each batch's own.
        found = resnet_diff.first_difference(mine, right, images)
        where = [("first difference", f"{found.place}: {found.seen}")] if found else []
        cause = found.cause if found else "Is there anything random, such as dropout?"
        return not_yet("In training mode the logits differ.", *case, *where, cause=cause)
    if gradient is None or not near(gradient, right_gradient):
        cause = "Something on the way is detached, or computed under no_grad or with .data."
        return not_yet("The output is right; conv1's gradient is not.", *case, cause=cause)
    statistics = {k: v for k, v in right.state_dict().items() if "running" in k or "tracked" in k}
    for key, value in statistics.items():
        found = mine.state_dict()[key]
        if not torch.allclose(found.double(), value.double(), rtol=1e-6, atol=1e-9):
            name = key.rpartition(".")[0]
            momentum = dict(mine.named_modules())[name].momentum
            cause = "Each batch norm runs once in each pass."
            if momentum != 0.1:
                cause = f"The momentum is {momentum} and should be 0.1, the default."
            return not_yet(f"{key} is another one after a training step.", *case, cause=cause)
    return None


EXERCISE = Exercise(
    id="11.4",
    title="A ResNet that loads torchvision's weights",
    objective="write ResNet-18 and ResNet-50 whole, name for name and number for number",
    level=3,
    minutes=60,
    points=8,
    hints=(
        "Print the keys of torchvision.models.resnet18(weights=None).state_dict() and their "
        "shapes: they are the plan. conv1, bn1, layer1 to layer4 (nn.Sequential of blocks), fc.",
        "One block of two 3 × 3 convolutions, stride in conv1; one bottleneck, stride in conv2, "
        "the 3 × 3. downsample (1 × 1 convolution and batch norm) wherever stride or channels "
        "change: in ResNet-50 in layer1.0 too, 64 → 256.",
        "forward: conv1 (7 × 7, stride 2, padding 3), bn1, ReLU, max pooling (3 × 3, stride 2, "
        "padding 1), four stages, the mean of each map, fc. The checker names the first layer that "
        "differs: mend it, check again.",
    ),
    solution=(Path(__file__).parent / "resnet_solution.py").read_text(encoding="utf-8"),
    examine=_examine,
)
