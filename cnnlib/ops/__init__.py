"""The operations of a convolutional network, by hand in NumPy.

Names, meaning and weight layouts are torch's; arrays are N C H W in and out, and keep their dtype.
Operations that only copy or compare (im2col, max_pool2d) take any real dtype; operations that
add (the others) take float32 and float64, because sums of small integers overflow in silence:
two pixels of uint8, 200 + 100, make 44.
"""

from cnnlib.ops.convolution import conv2d, conv_transpose2d
from cnnlib.ops.pooling import avg_pool2d, max_pool2d
from cnnlib.ops.windows import col2im, im2col

__all__ = ["avg_pool2d", "col2im", "conv2d", "conv_transpose2d", "im2col", "max_pool2d"]
