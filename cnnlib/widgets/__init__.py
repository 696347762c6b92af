"""Explorers: pictures that answer at once when a slider moves or a digit is drawn.

Name an explorer on the last line of a cell to show it. A notebook with a kernel shows the live
widget; GitHub, a printed page or a notebook without a kernel shows the stored picture.
"""

from cnnlib.widgets.convolution import KERNELS, ConvolutionExplorer, convolution_explorer
from cnnlib.widgets.digits import DigitPad, centre_digit, digit_pad

__all__ = [
    "KERNELS",
    "ConvolutionExplorer",
    "DigitPad",
    "centre_digit",
    "convolution_explorer",
    "digit_pad",
]
