"""Exercise 09.2, Every image counts once."""

import math

import numpy as np

from cnnlib.exercises.compare import as_numpy, kind, show
from cnnlib.exercises.engine import attempt, unfit
from cnnlib.exercises.verdicts import Exercise, Verdict, correct, not_attempted, not_yet, raised


def loss_and_acc(model, batches):
    import torch
    import torch.nn.functional as F

    found = {module: module.training for module in model.modules()}
    model.eval()
    sum_of_losses, num_right, num_images = 0.0, 0, 0
    try:
        with torch.inference_mode():
            for images, labels in batches:
                logits = model(images)
                sum_of_losses += F.cross_entropy(logits, labels, reduction="sum").item()
                num_right += (logits.argmax(dim=1) == labels).sum().item()
                num_images += len(labels)
    finally:  # also when a batch cannot be read
        for module, training in found.items():
            module.training = training
    return sum_of_losses / num_images, num_right / num_images


def _watched():
    """A network with dropout and batch norm that notes the circumstances of each call."""
    import torch
    from torch import nn

    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Flatten(), nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(),
                                      nn.Dropout(0.5), nn.Linear(6, 3))  # fmt: skip
            self.calls = []

        def forward(self, images):
            self.calls.append((torch.is_grad_enabled(), self.body[4].training, len(images)))
            return self.body(images)

    torch.manual_seed(92)
    model = Watched().double()
    model.body[2].running_mean.normal_()
    return model


def _data(sizes):
    import torch

    generator = torch.Generator().manual_seed(sum(sizes))
    return [
        (
            torch.randn(size, 1, 2, 2, generator=generator, dtype=torch.float64),
            torch.randint(0, 3, (size,), generator=generator),
        )
        for size in sizes
    ]


def _examine(answer) -> Verdict:
    if problem := unfit(answer):
        return problem
    import torch

    with torch.random.fork_rng(devices=[]):
        for number, sizes in enumerate(((4, 4), (4, 4, 1), (8, 3, 5), (1,))):
            if problem := _one_case(answer, sizes, number):
                return problem
        if problem := _modes(answer) or _once(answer) or _broken_off(answer):
            return problem
    return correct("Whole and short batches, every mode restored, even after an error.")


def _expected(model, pairs):
    """By hand in NumPy: the logits in eval mode, log-softmax, means over all images."""
    import torch

    model.eval()
    with torch.no_grad():
        logits = torch.cat([model.body(images) for images, _ in pairs]).numpy()
    labels = torch.cat([labels for _, labels in pairs]).numpy()
    high = logits.max(axis=1)
    log_sums = np.log(np.exp(logits - high[:, None]).sum(axis=1)) + high
    losses = log_sums - logits[np.arange(len(labels)), labels]
    return losses, logits.argmax(axis=1) == labels


def _one_case(answer, sizes, number) -> Verdict | None:
    import torch

    case = ("case", f"batches of {', '.join(map(str, sizes))} images, 3 classes")
    pairs, model = _data(sizes), _watched()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    got, error = attempt(answer, (model, pairs))
    if error is not None:
        if isinstance(error, NotImplementedError) and number == 0:
            return not_attempted()
        return raised(error, case, attempted=number > 0)
    calls = model.calls
    if problem := _circumstances(model, before, calls, case):
        return problem
    if not isinstance(got, tuple | list) or len(got) != 2 or any(np.size(g) != 1 for g in got):
        words = "Your function returned None: does it end in a return?" if got is None else ""
        return not_yet("Return two numbers: the loss and the accuracy.", case,
                       ("got", kind(as_numpy(got))), cause=words or "Two are wanted.")  # fmt: skip
    if any(isinstance(g, torch.Tensor) and g.requires_grad for g in got):
        return not_yet("The loss still holds its graph.", case, cause="Use .item() on it.")
    losses, right = _expected(model, pairs)
    return _wrong_numbers([float(np.asarray(g)) for g in got], losses, right, sizes, case)


def _circumstances(model, before, calls, case) -> Verdict | None:
    if not calls:
        cause = "Call the model itself, model(images), on each batch."
        return not_yet("The network was never asked.", case, cause=cause)
    if any(training for _, training, _ in calls):
        return not_yet(
            "The network was in training mode while it was evaluated.",
            case,
            cause="Dropout throws features away, and batch norm takes its means from the batch at "
            "hand and writes them into the network: call model.eval() first.",
        )
    if any(grad for grad, _, _ in calls):
        cause = "Nothing will be trained here: torch.inference_mode() saves memory and time."
        return not_yet("Gradients were recorded during the evaluation.", case, cause=cause)
    after = model.state_dict()
    if any(not bool((after[name] == value).all()) for name, value in before.items()):
        cause = "An evaluation changes neither weights nor running means."
        return not_yet("The network is another one afterwards.", case, cause=cause)
    return None


def _wrong_numbers(got, losses, right, sizes, case) -> Verdict | None:
    wanted = losses.mean(), right.mean()
    if all(
        math.isclose(g, w, rel_tol=1e-6, abs_tol=1e-6) for g, w in zip(got, wanted, strict=True)
    ):
        return None
    parts = np.cumsum(sizes)[:-1]
    means = [
        np.mean([part.mean() for part in np.split(values, parts)]) for values in (losses, right)
    ]
    known = (
        (means, "This is the mean of the batches' means, in which an image of a short batch weighs "
         "more than one of a long batch. Sum over images, and divide once by their number."),
        ((wanted[1], wanted[0]), "Both numbers are right; the loss comes first."),
        ((wanted[0], 100 * wanted[1]), "The accuracy is a fraction from 0 to 1, not per cent."),
        ((losses.sum(), right.mean()), "This loss is the sum over the images; the mean is wanted."),
        ((losses.sum(), right.sum()), "These are sums over the images; divide by their number."),
        ((wanted[0], right.sum()), "The right answers are counted, but not divided by the number "
         "of images."),
        ((wanted[0], means[1]), "The loss is right, but the accuracy is the mean of the batches' "
         "accuracies: an image of a short batch weighs more in it."),
        ((means[0], wanted[1]), "The accuracy is right, but the loss is the mean of the batches' "
         "mean losses: an image of a short batch weighs more in it. Multiply each by its number "
         "of images before you add."),
        (([losses.sum() / (sizes[0] * len(sizes)), right.sum() / (sizes[0] * len(sizes))]),
         "The sums were divided by the number of batches times the size of the first: the last "
         "batch is shorter. Count the images."),
    )  # fmt: skip
    last = np.split(losses, parts)[-1], np.split(right, parts)[-1]
    known += (((last[0].mean(), last[1].mean()), "This is the last batch alone: add up in the "
               "loop, divide after it."),)  # fmt: skip
    if len(sizes) > 1:
        first = len(losses) - sizes[-1]
        known += (((losses[:first].mean(), right[:first].mean()), "The last batch is left out."),)
    cause = next(
        (says for wrong, says in known if np.allclose(got, wrong, rtol=1e-6, atol=1e-9)),
        "The answer is the largest logit along axis 1; the loss is the cross-entropy of logits.",
    )
    return not_yet(
        "The numbers differ.", case,
        ("expected", f"loss {show(float(wanted[0]))}, accuracy {show(float(wanted[1]))}"),
        ("got", f"{show(got[0])} and {show(got[1])}"), cause=cause,
    )  # fmt: skip


def _modes(answer) -> Verdict | None:
    """Networks that are found in each mode, and one of which a part is frozen."""
    for name, training, frozen in (
        ("found in training mode", True, False),
        ("found in eval mode", False, False),
        ("in training mode, its batch norm frozen in eval mode", True, True),
    ):
        model = _watched().train(training)
        if frozen:
            model.body[2].eval()
        wanted = [module.training for module in model.modules()]
        _, error = attempt(answer, (model, _data((4, 2))))
        case = ("case", f"a network {name}")
        if error is not None:
            return raised(error, case, attempted=True)
        if [module.training for module in model.modules()] != wanted:
            cause = "Note the mode before eval() and set it again at the end."
            if frozen:
                cause = "model.train() puts every part into training mode. Note the mode of each "
                cause += "one of model.modules(), and set each again."
            return not_yet("Afterwards it is in another mode.", case, cause=cause)
    return None


def _once(answer) -> Verdict | None:
    """Batches that can be gone through only once, and have no length."""
    pairs, model = _data((4, 3)), _watched()
    losses, _ = _expected(model, pairs)
    got, error = attempt(answer, (model, (pair for pair in pairs)))
    case = ("case", "batches from a generator")
    if error is not None:
        return raised(error, case, attempted=True)
    if not math.isclose(float(np.asarray(got[0])), losses.mean(), rel_tol=1e-6):
        cause = "Go through the batches once, and count images as they come."
        return not_yet("A generator of batches is empty after one pass.", case, cause=cause)
    return None


def _broken_off(answer) -> Verdict | None:
    def broken():
        yield from _data((4,))
        raise OSError("a file cannot be read")

    model = _watched().train()
    _, error = attempt(answer, (model, broken()))
    case = ("case", "reading the second batch raises an OSError; the network was in training mode")
    if not isinstance(error, OSError):
        cause = "Let exceptions through: whoever called has to know."
        return not_yet("The error was swallowed.", case, cause=cause)
    if not model.training:
        cause = "What comes after the loop is not reached. try: … finally: … is."
        return not_yet("After the error the network is left in eval mode.", case, cause=cause)
    return None


EXERCISE = Exercise(
    id="09.2",
    title="Every image counts once",
    objective="write an evaluation that is right for short batches and leaves no trace",
    level=2,
    minutes=20,
    points=4,
    hints=(
        "Sum losses and right answers over the images, and divide once, at the end. "
        'F.cross_entropy has reduction="sum".',
        "Before: {module: module.training for module in model.modules()}, then model.eval(). "
        "Afterwards: module.training = … for each.",
        "A finally block runs whether the loop ends or breaks.",
    ),
    solution=loss_and_acc,
    examine=_examine,
)
