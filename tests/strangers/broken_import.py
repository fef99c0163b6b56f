"""A file that fails when it is imported."""

import numpy as np

scale = np.sqrt(4.0)
layer = undefined_layer(scale)
