"""Exercise 11.11, The best network that 10,000 parameters buy."""

from typing import Any

from cnnlib.exercises.compare import kind
from cnnlib.exercises.engine import unfit
from cnnlib.exercises.nb11.modules import attempt_raw
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_attempted, not_yet, raised

MAX_PARAMETERS, MAX_MACS = 10_000, 500_000
NUM_STEPS, BATCH_SIZE, WANTED_ACC = 400, 64, 0.85
FIRST_HELD_OUT, NUM_HELD_OUT = 54_000, 3000


def design_network():
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 9, 10),
    )  # fmt: skip


def count_all_macs(model: Any) -> int:
    """Products of one image, however they are written: torch's own counter sees functions too."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(1, 1, 28, 28))
    return counter.get_total_flops() // 2


def _batches():
    from cnnlib import data
    from cnnlib.batches import Batches

    clothes, N = data.load_fashion_mnist(), NUM_STEPS * BATCH_SIZE
    scale = {"mean": 0.286, "std": 0.353, "channels_last": True}
    images, labels = clothes.train_images, clothes.train_labels
    held_out = slice(FIRST_HELD_OUT, FIRST_HELD_OUT + NUM_HELD_OUT)
    train = Batches(images[:N], labels[:N], batch_size=BATCH_SIZE, shuffle=True, seed=1, **scale)
    return train, Batches(images[held_out], labels[held_out], batch_size=500, **scale)


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, error = attempt_raw(answer)
        if isinstance(error, NotImplementedError):
            return not_attempted()
        if error:
            return raised(error, ("case", "design_network()"))
        verdict, facts = _within_budget(model)
        return verdict or _trained(model, facts)


def _within_budget(model) -> tuple[Verdict | None, tuple]:
    """The verdict on a network that costs too much, or does not do what one should."""
    import torch
    from torch import nn

    if not isinstance(model, nn.Module):
        cause = "It returned None: does it end in a return?" if model is None else ""
        if isinstance(model, type):
            cause = "That is a class; return a network made of it, with parentheses."
        cause = cause or "Return an nn.Module that is not trained yet; the checker trains it."
        return not_yet("A network is wanted.", ("got", kind(model)), cause=cause), ()
    images = torch.randn(3, 1, 28, 28)
    logits, error = attempt_raw(lambda: model.eval()(images))
    if error:
        return raised(error, ("case", "images (3, 1, 28, 28)"), attempted=True), ()
    if not isinstance(logits, torch.Tensor) or logits.shape != (3, 10):
        got = f"{tuple(logits.shape)}" if isinstance(logits, torch.Tensor) else kind(logits)
        cause = "Images (N, 1, 28, 28) in, logits (N, 10) out: one for each class."
        return not_yet("The output has the wrong shape.", ("got", got), cause=cause), ()
    alone = torch.cat([model(image[None]) for image in images])
    if not torch.allclose(alone, logits, atol=1e-4):
        cause = "In eval mode an image's answer must not depend on the others, nor on chance."
        return not_yet("The same image gave two answers.", cause=cause), ()
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    num_macs, error = attempt_raw(count_all_macs, model)
    if error:
        return raised(error, ("case", "one image (1, 1, 28, 28)"), attempted=True), ()
    facts = (
        ("parameters", f"{num_parameters:,} of {MAX_PARAMETERS:,}"),
        ("MACs of one image", f"{num_macs:,} of {MAX_MACS:,}"),
    )
    return _overspent(model, num_parameters, num_macs, facts), facts


def _overspent(model, num_parameters, num_macs, facts) -> Verdict | None:
    from torch import nn

    if num_parameters > MAX_PARAMETERS:
        linear = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear))
        cause = "Fewer channels, or a depthwise separable convolution where a full one stands."
        if linear > num_parameters / 2:
            cause = "Most of them are in linear layers: shrink the maps before you flatten them."
        return not_yet("Too many parameters.", *facts, cause=cause)
    if num_macs > MAX_MACS:
        cause = "Maps of 28 × 28 are what costs: halve them early, or have few channels there."
        return not_yet("Too many multiply-accumulates.", *facts, cause=cause)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        cause = "The checker trains it: leave requires_grad as it is."
        return not_yet("There is nothing to train.", *facts, cause=cause)
    return None


def _trained(model, facts) -> Verdict:
    import torch

    from cnnlib import training

    train, held_out = _batches()
    config = training.TrainConfig(
        epochs=1, lr=0.01, optimizer="adamw", warmup=0.1, channels_last=True
    )
    torch.manual_seed(0)
    _, error = attempt_raw(training.fit, model, train, config, progress=False)
    if error:
        at = ("case", f"{NUM_STEPS} steps of AdamW, lr 0.01")
        return raised(error, at, *facts, attempted=True)
    logits, labels = training.collect_logits(model, held_out)
    acc = float((logits.argmax(dim=1) == labels).double().mean())
    facts = (
        *facts,
        ("held out", f"{acc:.3f} of {NUM_HELD_OUT:,} images right; wanted {WANTED_ACC}"),
    )
    if acc >= WANTED_ACC:
        spent = "; ".join(f"{text} {name}" for name, text in facts[:2])
        return correct(f"{acc:.1%} of {NUM_HELD_OUT:,} clothes that it never saw. {spent}.")
    return not_yet("Within the budget, but not good enough.", *facts, cause=_cause(model, logits))


def _cause(model, logits) -> str:
    import torch
    from torch import nn

    modules = list(model.modules())
    sums = logits.sum(dim=1)
    if bool((logits >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
        return "It ends in a softmax, and cross_entropy takes another one. Return logits."
    if not bool(torch.isfinite(logits).all()) or float(logits.std(dim=0).max()) < 1e-6:
        return "It gives the same answer to every image: its units are dead. A norm helps."
    if not any(isinstance(module, nn.Conv2d) for module in modules):
        return "There is no convolution in it: neighbouring pixels are no neighbours to it."
    dropped = [m.p for m in modules if isinstance(m, nn.Dropout | nn.Dropout2d)]
    if dropped and max(dropped) > 0.2:
        return "In 400 steps nobody learns by heart; dropout only slows it down. Leave it out."
    last = [module for module in modules if isinstance(module, nn.Linear)]
    if (
        last
        and last[-1].in_features < 80
        and any(isinstance(m, nn.AdaptiveAvgPool2d) for m in modules)
    ):
        return (
            "The last maps are averaged to one number each, so that where things are is lost. Keep "
            "a few positions: flatten maps of 3 × 3 or 4 × 4."
        )
    if not any(isinstance(m, nn.modules.batchnorm._NormBase | nn.GroupNorm) for m in modules):
        return "There is no norm in it. Batch norm after each convolution makes 400 steps enough."
    if sum(isinstance(module, nn.Conv2d) for module in modules) < 3:
        return "Two layers see little: spend the budget on a third or fourth convolution."
    return (
        "Spend more of the budget, and where it counts: channels at 14 × 14 and 7 × 7, three or "
        "four convolutions, each with a norm and a ReLU, and a small linear layer."
    )


EXERCISE = Exercise(
    id="11.11",
    title="The best network that 10,000 parameters buy",
    objective="design a network within a budget of parameters and of operations",
    level=3,
    minutes=35,
    points=6,
    hints=(
        "Where would a parameter be wasted? In a large linear layer. Where an operation? In many "
        "channels at 28 × 28. Count with models.count_parameters and models.count_macs.",
        "A stride of 2 in the first convolution quarters the cost of all that follows. Double the "
        "channels whenever the size halves. Batch norm costs next to nothing.",
        "5 × 5 with stride 2 to 8 channels, 3 × 3 with stride 2 to 16, 3 × 3 to 32, pooling to "
        "3 × 3, one linear layer: 8,962 parameters.",
    ),
    solution=design_network,
    examine=_examine,
)
