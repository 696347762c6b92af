"""What each process of notebook 13's torchrun does: gradients to compare, and steps to time.

    torchrun --nproc-per-node 2 -m cnnlib.distributed result.pt

The first process writes what it found to the file; gloo carries the numbers, on the CPU.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from cnnlib.models.fast import make_fast_cnn

NORMS = ("no norm", "batch norm", "synchronised")
BATCH_SIZES = (32, 128, 512)  # images of a step, over all processes together


class AllReduceSum(torch.autograd.Function):
    """The sum over all processes, with a gradient: each process's part counts in every sum.

    Taught in notebook 13.
    """

    @staticmethod
    def forward(ctx, values: Tensor) -> Tensor:
        """Values of this process -> their sum over all processes, the same in each."""
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, grad_out: Tensor) -> Tensor:
        """Every process used the sum, so the gradients of all of them come back."""
        grad = grad_out.clone()
        dist.all_reduce(grad)
        return grad


class SyncBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose mean and variance are those of all processes' images together.

    torch's own SyncBatchNorm does this on GPUs only. Without other processes, and in eval mode,
    it is nn.BatchNorm2d.

    Example:
        >>> SyncBatchNorm2d(3)(torch.rand(2, 3, 4, 4)).shape
        torch.Size([2, 3, 4, 4])

    Taught in notebook 13.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) -> the same shape; N may differ from process to process."""
        if not self.training or not dist.is_initialized():
            return super().forward(images)
        N, C, H, W = images.shape
        count = AllReduceSum.apply(images.new_tensor(float(N * H * W)))
        mean = AllReduceSum.apply(images.sum(dim=(0, 2, 3))) / count
        # A second round for the variance: the mean of squares would lose digits.
        deviations = images - mean[:, None, None]
        var = AllReduceSum.apply(deviations.square().sum(dim=(0, 2, 3))) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * count / (count - 1), self.momentum)  # unbiased
        scale = self.weight / (var + self.eps).sqrt()
        return deviations * scale[:, None, None] + self.bias[:, None, None]


def make_cnn(norm: str) -> nn.Sequential:
    """A small network, the same weights in every process; `norm` is one of NORMS.

    Example:
        >>> make_cnn("batch norm")(torch.zeros(2, 1, 12, 12)).shape
        torch.Size([2, 5])

    Taught in notebook 13.
    """
    kinds = {"no norm": nn.Identity, "batch norm": nn.BatchNorm2d, "synchronised": SyncBatchNorm2d}
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2),
        kinds[norm](8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3),
        kinds[norm](16),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(144, 5),
    )


def make_batch(num_images: int = 24, size: int = 12) -> tuple[Tensor, Tensor]:
    """Random images (N, 1, size, size) and labels 0 to 4, the same in every process.

    Example:
        >>> make_batch()[0].shape
        torch.Size([24, 1, 12, 12])

    Taught in notebook 13.
    """
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(num_images, 1, size, size, generator=generator)
    return images, torch.randint(5, (num_images,), generator=generator)


def gradients(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """The gradient of the mean loss for every parameter, by name. Taught in notebook 13."""
    F.cross_entropy(model(images), labels).backward()
    inside = model.module if isinstance(model, DistributedDataParallel) else model
    return {name: parameter.grad for name, parameter in inside.named_parameters()}


def compare(rank: int, count: int) -> dict[str, dict[str, Tensor]]:
    """For each norm, the gradients that are left in this process after all have met."""
    images, labels = make_batch()
    found = {}
    for norm in NORMS:
        model = DistributedDataParallel(make_cnn(norm))
        found[norm] = gradients(model, images[rank::count], labels[rank::count])
    return found


def seconds_of_step(
    model: nn.Module, images: Tensor, labels: Tensor, num_steps: int = 14
) -> tuple[float, float]:
    """Seconds of the fastest of some training steps, and of the optimizer's part of one."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    whole, update = [], []
    for _ in range(num_steps):
        start = time.perf_counter()
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        middle = time.perf_counter()
        optimizer.step()
        update.append(time.perf_counter() - middle)
        whole.append(time.perf_counter() - start)
    return min(whole[2:]), min(update[2:])  # the first two warm up


def time_steps(rank: int, count: int) -> list[dict[str, float]]:
    """For each batch size: a step in one process alone, then one that is shared by all."""
    found = []
    for batch_size in BATCH_SIZES:
        images, labels = make_batch(batch_size, size=28)
        images = images.contiguous(memory_format=torch.channels_last)
        row = {"batch_size": batch_size}
        dist.barrier()
        if rank == 0:  # the others wait at the next barrier
            alone = make_fast_cnn().to(memory_format=torch.channels_last)
            row["one_s"], row["update_s"] = seconds_of_step(alone, images, labels)
        dist.barrier()
        shared = DistributedDataParallel(make_fast_cnn().to(memory_format=torch.channels_last))
        row["many_s"], _ = seconds_of_step(shared, images[rank::count], labels[rank::count])
        found.append(row)
    return found


def launch(num_processes: int = 2) -> dict:
    """Start this module in several processes through torchrun, and read what they found.

    Args:
        num_processes: 2 or more, each with one thread.

    Returns:
        "gradients": norm -> name of a parameter -> its gradient after all processes have met;
        "steps": for each batch size the seconds of a step in one process alone ("one_s", of which
        the optimizer takes "update_s") and shared by all ("many_s").

    Raises:
        RuntimeError: a process failed; the message ends with what it said.

    Taught in notebook 13.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.pt"
        words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
        words += [str(num_processes), "-m", "cnnlib.distributed", str(result)]
        # The processes find cnnlib where this one did, and share the cores fairly.
        places = [str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places))}
        environment["OMP_NUM_THREADS"] = "1"
        if sys.platform == "win32":  # torch for Windows comes without libuv
            environment["USE_LIBUV"] = "0"
        done = subprocess.run(
            [sys.executable, *words], env=environment, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise RuntimeError(f"torchrun ended with {done.returncode}: {done.stderr[:2000]}")
        return torch.load(result, weights_only=True)


def main() -> None:
    """Compare, time, and let the first process write both."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, count = dist.get_rank(), dist.get_world_size()
    found = {"num_processes": count, "gradients": compare(rank, count)}
    found["steps"] = time_steps(rank, count)
    if rank == 0:
        torch.save(found, sys.argv[1])
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
