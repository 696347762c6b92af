import math

import torch
from torch import nn


class Conv2d(nn.Module):
    """A convolution as one matrix product over unfolded windows; arguments as nn.Conv2d's."""

    def __init__(
        self, in_channels, out_channels, kernel_size,
        stride=1, padding=0, dilation=1, groups=1, bias=True,
    ):  # fmt: skip
        super().__init__()

        def pair(size):
            return size if isinstance(size, tuple) else (size, size)

        self.kernel_size, self.stride, self.groups = pair(kernel_size), pair(stride), groups
        self.padding, self.dilation = pair(padding), pair(dilation)
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        bound = 1 / math.sqrt(math.prod(shape[1:]))  # PyTorch's: variance 1 / (3 fan_in)
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.bias = (
            nn.Parameter(torch.empty(out_channels).uniform_(-bound, bound)) if bias else None
        )

    def forward(self, images):
        N, C, *size = images.shape
        O = len(self.weight)
        windows = nn.functional.unfold(
            images, self.kernel_size, self.dilation, self.padding, self.stride
        )  # (N, C * kh * kw, out_h * out_w): the channel varies slowest
        windows = windows.reshape(N, self.groups, -1, windows.shape[2])
        output = self.weight.reshape(self.groups, O // self.groups, -1) @ windows
        output = output.flatten(1, 2)  # (N, O, out_h * out_w)
        if self.bias is not None:
            output = output + self.bias[:, None]
        sizes = [
            (size[i] + 2 * self.padding[i] - self.dilation[i] * (self.kernel_size[i] - 1) - 1)
            // self.stride[i] + 1
            for i in (0, 1)
        ]  # fmt: skip
        return output.reshape(N, O, *sizes)
