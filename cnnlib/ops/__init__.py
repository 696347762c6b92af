"""The operations of a convolutional network, by hand in NumPy.

Names, meaning and weight layouts are torch's; arrays are N C H W in and out, and keep their dtype.
Operations that only copy or compare (im2col, max_pool2d) take any real dtype; operations that
add (the others) take float32 and float64, because sums of small integers overflow in silence:
two pixels of uint8, 200 + 100, make 44.
"""

from cnnlib.ops.convolution import conv2d, conv2d_backward, conv_transpose2d
from cnnlib.ops.dense import linear, linear_backward, relu, relu_backward
from cnnlib.ops.gradients import GradientReport, check_gradients
from cnnlib.ops.loss import (
    log_softmax,
    softmax,
    softmax_cross_entropy,
    softmax_cross_entropy_backward,
)
from cnnlib.ops.normalisation import batch_norm, batch_norm_backward, dropout, dropout_backward
from cnnlib.ops.pooling import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward
from cnnlib.ops.pooling_variants import adaptive_avg_pool2d, blur_pool2d, sliding_max
from cnnlib.ops.windows import col2im, im2col

__all__ = [
    "GradientReport",
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm",
    "batch_norm_backward",
    "blur_pool2d",
    "check_gradients",
    "col2im",
    "conv2d",
    "conv2d_backward",
    "conv_transpose2d",
    "dropout",
    "dropout_backward",
    "im2col",
    "linear",
    "linear_backward",
    "log_softmax",
    "max_pool2d",
    "max_pool2d_backward",
    "relu",
    "relu_backward",
    "sliding_max",
    "softmax",
    "softmax_cross_entropy",
    "softmax_cross_entropy_backward",
]
