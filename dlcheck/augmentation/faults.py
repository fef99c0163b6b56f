"""The known mistakes in augmentation, in the order of the components."""

from dlcheck.augmentation.colour_faults import COLOR_JITTER
from dlcheck.augmentation.light_faults import GAUSSIAN_NOISE, PCA_LIGHTING
from dlcheck.augmentation.moving_faults import HORIZONTAL_FLIP, RANDOM_CROP
from dlcheck.augmentation.shifting_faults import TRANSLATE
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
