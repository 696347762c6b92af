"""The geometry of convolution: sizes, padding, parameters and operations, by plain arithmetic.

Everything here is integers in, integers out; no array is touched. A size is given as one integer,
meant for both axes, or as a pair (height, width), exactly as in torch.
"""

from cnnlib.geometry.counts import (
    check_channels,
    check_count,
    num_macs,
    num_parameters,
    peak_activation_memory,
)
from cnnlib.geometry.receptive import receptive_field
from cnnlib.geometry.sizes import (
    Pair,
    Size,
    conv_output_size,
    conv_transpose_output_size,
    padding_amounts,
    pool_output_size,
    to_pair,
)

__all__ = [
    "Pair",
    "Size",
    "check_channels",
    "check_count",
    "conv_output_size",
    "conv_transpose_output_size",
    "num_macs",
    "num_parameters",
    "padding_amounts",
    "peak_activation_memory",
    "pool_output_size",
    "receptive_field",
    "to_pair",
]
