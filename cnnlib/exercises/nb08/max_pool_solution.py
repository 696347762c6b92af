import torch
from torch import nn


class MaxPool(torch.autograd.Function):
    """Largest value of each k × k window, windows side by side. (N, C, H, W) -> (N, C, …)."""

    @staticmethod
    def forward(ctx, images, kernel_size):
        (N, C, H, W), k = images.shape, kernel_size
        out_h, out_w = H // k, W // k
        windows = images[:, :, : out_h * k, : out_w * k].reshape(N, C, out_h, k, out_w, k)
        values, winners = windows.transpose(3, 4).flatten(4).max(dim=4)
        ctx.save_for_backward(winners)
        ctx.sizes = N, C, H, W, k
        return values

    @staticmethod
    def backward(ctx, grad_out):
        (winners,), (N, C, H, W, k) = ctx.saved_tensors, ctx.sizes
        out_h, out_w = H // k, W // k
        windows = grad_out.new_zeros(N, C, out_h, out_w, k * k)
        windows = windows.scatter(4, winners[..., None], grad_out[..., None])
        windows = windows.reshape(N, C, out_h, out_w, k, k).transpose(3, 4)
        grad_images = windows.reshape(N, C, out_h * k, out_w * k)
        return nn.functional.pad(grad_images, (0, W - out_w * k, 0, H - out_h * k)), None
