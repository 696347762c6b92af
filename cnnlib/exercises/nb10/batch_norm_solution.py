import torch
from torch import nn


class BatchNorm(nn.Module):
    """Batch norm for images (N, C, H, W), as nn.BatchNorm2d does it."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1):
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, images):
        mean, var = self.running_mean, self.running_var
        if self.training:
            mean, var = images.mean(dim=(0, 2, 3)), images.var(dim=(0, 2, 3), correction=0)
            self.update(mean.detach(), var.detach(), n=images.numel() // images.shape[1])
        scale = self.weight / (var + self.eps).sqrt()
        shift = self.bias - mean * scale
        return images * scale[:, None, None] + shift[:, None, None]

    def update(self, mean, var, n):
        self.num_batches_tracked += 1
        share = self.momentum
        if share is None:  # the mean of all batches so far
            share = 1 / int(self.num_batches_tracked)
        self.running_mean += share * (mean - self.running_mean)
        self.running_var += share * (var * n / (n - 1) - self.running_var)
