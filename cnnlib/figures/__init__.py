"""Pictures that one notebook needs, a module for each: `figures.pooling.draw_curves(...)`.

`figures.curves` serves many of them. What the first notebooks build is in `cnnlib.plots`.
"""

from cnnlib.figures import (
    architectures,
    backward,
    curves,
    fit,
    forward,
    geometry,
    pooling,
    regularise,
    speed,
    training,
)

__all__ = [
    "architectures",
    "backward",
    "curves",
    "fit",
    "forward",
    "geometry",
    "pooling",
    "regularise",
    "speed",
    "training",
]
