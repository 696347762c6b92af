"""Pictures that one notebook needs, a module for each: `figures.pooling.draw_curves(...)`.

What several notebooks draw is in `cnnlib.plots`.
"""

from cnnlib.figures import backward, fit, forward, geometry, pooling, regularise, training

__all__ = ["backward", "fit", "forward", "geometry", "pooling", "regularise", "training"]
