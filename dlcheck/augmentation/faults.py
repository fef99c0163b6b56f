"""The known mistakes in augmentation, in the order of the components."""

from dlcheck.augmentation.colour_faults import COLOR_JITTER, GAUSSIAN_NOISE, PCA_LIGHTING
from dlcheck.augmentation.moving_faults import HORIZONTAL_FLIP, RANDOM_CROP, TRANSLATE
from dlcheck.augmentation.warping_faults import RESIZE, ROTATE
from dlcheck.component import Fault

FAULTS: tuple[Fault, ...] = (
    *HORIZONTAL_FLIP,
    *RANDOM_CROP,
    *TRANSLATE,
    *ROTATE,
    *COLOR_JITTER,
    *PCA_LIGHTING,
    *GAUSSIAN_NOISE,
    *RESIZE,
)
