"""Notebook 01, images as arrays: its exercises, one module each, and its predictions."""

from cnnlib.exercises.nb01 import brighten, nearest_mean, nearest_shifted, standardise, to_batch
from cnnlib.exercises.verdicts import Prediction

EXERCISES = (
    brighten.EXERCISE,
    to_batch.EXERCISE,
    standardise.EXERCISE,
    nearest_mean.EXERCISE,
    nearest_shifted.EXERCISE,
)

PREDICTIONS = (
    Prediction(id="01.a", question="200 + 100 in an array of 8-bit integers"),
    Prediction(id="01.b", question="the shape of a 300 × 451 colour picture with channels first"),
    Prediction(id="01.c", question="the megabytes of 60,000 digits as 32-bit floats", within=0.1),
    Prediction(id="01.d", question="the part of MNIST's pixels that is exactly 0", within=0.1),
    Prediction(id="01.e", question="the accuracy of the nearest mean image on MNIST", within=0.05),
    Prediction(
        id="01.f", question="its accuracy when the digits are moved down 3 pixels", within=0.1
    ),
)
