"""Batch norm with one thing wrong at a time: what exercise 10.1 recognises, and then says."""

from collections.abc import Callable

FAULTS = (
    (
        {"keep": 0},
        "The running variance was moved towards the biased one, divided by n. The batch is "
        "normalised with that, but what is kept for later is the unbiased one: times n / (n − 1).",
    ),
    (
        {"use": 1},
        "The batch was normalised with the unbiased variance, divided by n − 1. Only what is kept "
        "is unbiased; images.var(…, correction=0) is the biased one.",
    ),
    (
        {"use": 1, "keep": 0},
        "The two variances have changed places: normalise with the biased one (divided by n), "
        "keep the unbiased one (divided by n − 1).",
    ),
    (
        {"turned": True},
        "momentum counts the wrong way round. In torch it is the share of the *new* batch: "
        "running = (1 − momentum) · running + momentum · new.",
    ),
    ({"frozen": True}, "The running statistics never move: they should, in training."),
    ({"frozen": "but counts"}, "The running statistics never move: they should, in training."),
    (
        {"mode": "always"},
        "The batch's own statistics were used in eval mode. There the running ones count, and "
        "nothing moves.",
    ),
    (
        {"mode": "always", "no_move_in_eval": True},
        "The batch's own statistics were used in eval mode; there the running ones count.",
    ),
    (
        {"mode": "grad"},
        "Whether gradients are recorded decided the mode. It is self.training alone: under "
        "no_grad a module in training still uses, and keeps, the batch's statistics.",
    ),
    (
        {"mode": "never", "frozen": True},
        "The running statistics were used in training; a batch is then normalised with its own.",
    ),
    (
        {"always_move": True},
        "The running statistics moved in eval mode too. Then the answer for one image depends on "
        "which were shown before.",
    ),
    (
        {"mode": "never"},
        "The running statistics were used in training; a batch is then normalised with its own.",
    ),
    ({"eps": "outside"}, "eps stands under the root: √(var + eps)."),
    (
        {"eps": "fixed"},
        "eps is always 1e-5, or left out; use the one that was given: √(var + eps).",
    ),
    ({"momentum": "fixed"}, "momentum is always 0.1; use the one that was given."),
    ({"count": False}, "num_batches_tracked is not counted up; it counts the batches in training."),
    (
        {"count": "after"},
        "With momentum None the number of batches was counted up too late: the first batch counts "
        "fully (share 1), the second by half.",
    ),
    (
        {"own_count": True},
        "With momentum None batches are counted by something of your own, which a loaded "
        "state_dict does not set. Use num_batches_tracked.",
    ),
    (
        {"momentum": "none is default"},
        "With momentum None the share was 0.1. None means the mean of all batches so far: a share "
        "of 1 / num_batches_tracked.",
    ),
    (
        {"momentum": "replace"},
        "With momentum None the statistics were replaced by the last batch's; None means the mean "
        "of all batches so far: a share of 1 / num_batches_tracked.",
    ),
    (
        {"detached": True},
        "Mean and variance were detached before they were used: each pixel moves them, and its "
        "gradient has to go through them too. Detach only what goes into the buffers.",
    ),
    ({"std": True}, "Standard deviations were kept; running_var is a variance."),
    (
        {"only_batch": True},
        "The mean was taken over the batch alone, one for each pixel; it runs over N, H and W.",
    ),
    ({"each_image": True}, "Every image was normalised by itself; a mean runs over N, H and W."),
    ({"affine": False}, "weight and bias were not used in the output."),
    (
        {"n": "batch"},
        "n / (n − 1) was taken with n = N, the images; a channel has n = N · H · W numbers.",
    ),
    ({"update_uses": True}, "The running statistics were moved first and then used to normalise."),
)


def faulty(change: dict) -> Callable:
    """A class as nn.BatchNorm2d, written out, with one thing changed."""
    import torch

    class Faulty(torch.nn.Module):
        def __init__(self, num_features, eps=1e-5, momentum=0.1):
            super().__init__()
            self.eps, self.momentum, self.own = eps, momentum, 0
            self.weight = torch.nn.Parameter(torch.ones(num_features))
            self.bias = torch.nn.Parameter(torch.zeros(num_features))
            self.register_buffer("running_mean", torch.zeros(num_features))
            self.register_buffer("running_var", torch.ones(num_features))
            self.register_buffer("num_batches_tracked", torch.tensor(0))

        def forward(self, images):
            mode = change.get("mode")
            by_batch = {"grad": torch.is_grad_enabled(), "never": False, "always": True}
            by_batch = by_batch.get(mode, self.training)
            moves = self.training or change.get("always_move") or mode == "always"
            if mode == "grad":
                moves = by_batch
            if change.get("no_move_in_eval"):
                moves = self.training
            N, C, H, W = images.shape
            over = (0,) if change.get("only_batch") else (0, 2, 3)
            over = (2, 3) if change.get("each_image") else over
            mean = images.mean(dim=over, keepdim=True)
            var = images.var(dim=over, keepdim=True, correction=change.get("use", 0))
            if moves and change.get("frozen") is not True:
                self.move(images.detach())
            if change.get("detached"):
                mean, var = mean.detach(), var.detach()
            if not by_batch or change.get("update_uses"):
                mean, var = self.running_mean[:, None, None], self.running_var[:, None, None]
            eps = 1e-5 if change.get("eps") == "fixed" else self.eps
            outside = change.get("eps") == "outside"
            output = (images - mean) / (var.sqrt() + eps if outside else (var + eps).sqrt())
            if change.get("affine", True):
                output = output * self.weight[:, None, None] + self.bias[:, None, None]
            return output

        def move(self, images):
            over, n = (0, 2, 3), images.numel() // images.shape[1]
            mean, var = images.mean(dim=over), images.var(dim=over, correction=0)
            n = len(images) if change.get("n") == "batch" else n
            if change.get("keep", 1) and n > 1:
                var = var * n / (n - 1)
            if change.get("std"):
                var = var.sqrt()
            if change.get("count", True) is True:
                self.num_batches_tracked += 1
            self.own += 1
            if change.get("frozen"):
                return
            share = self.share()
            if change.get("count") == "after":
                self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, share)
            self.running_var.lerp_(var, share)

        def share(self):
            if self.momentum is None:
                known = {"none is default": 0.1, "replace": 1.0}
                if change.get("momentum") in known:
                    return known[change["momentum"]]
                count = self.own if change.get("own_count") else int(self.num_batches_tracked)
                count += change.get("count") == "after"
                return 1 / max(1, count + (change.get("count") == "after"))
            share = 0.1 if change.get("momentum") == "fixed" else self.momentum
            return 1 - share if change.get("turned") else share

    return Faulty
