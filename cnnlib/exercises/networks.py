"""For exercises that want a trained network back: is it one, and does it take the images?"""

from cnnlib.exercises.compare import kind
from cnnlib.exercises.engine import attempt
from cnnlib.exercises.verdicts import Verdict, not_yet


def logits_of(model, images):
    """Images (N, 1, 28, 28) -> logits (N, 10), in eval mode, a thousand at a time."""
    import torch

    from cnnlib.training.evaluation import eval_mode

    with eval_mode(model), torch.no_grad():
        return torch.cat([model(part) for part in images.split(1000)])


def unusable_network(model: object, case) -> Verdict | None:
    """A verdict if this is no network (N, 1, 28, 28) -> (N, 10); None if it is one."""
    import torch
    from torch import nn

    if not isinstance(model, nn.Module):
        words = "The network itself is wanted."
        if model is None:
            words = "Your function returned None: does it end in return model?"
        elif isinstance(model, tuple | list):
            words = "Only the network is wanted, without a history."
        elif isinstance(model, dict):
            words = "A state_dict are the weights alone; the network itself is wanted."
        return not_yet("Return the trained network, an nn.Module.", case, ("got", kind(model)),
                       cause=words)  # fmt: skip
    logits, error = attempt(lambda: logits_of(model, torch.zeros(2, 1, 28, 28)))
    if error is not None:
        cause = "It is judged on images just as they are given: float32 (N, 1, 28, 28), 0 to 1."
        return not_yet("The network does not take the images.", case, ("got", str(error)[:200]),
                       cause=cause)  # fmt: skip
    if logits.shape != (2, 10):
        cause = "One logit for each of ten classes: (N, 1, 28, 28) -> (N, 10)."
        return not_yet("The network's output has the wrong shape.", case,
                       ("got", f"{tuple(logits.shape)} for two images"), cause=cause)  # fmt: skip
    return None
