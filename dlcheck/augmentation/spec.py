"""What the augmentations are: their settings, conventions and sources."""

import numpy as np

from dlcheck.component import Case, Component, Convention, Option, Source, notes

ALEXNET = Source(
    "Krizhevsky, Sutskever, Hinton: ImageNet classification with deep convolutional neural networks",
    "NIPS 2012, sections 2 and 4.1",
    "https://papers.nips.cc/paper_files/paper/2012/hash/c399862d3b9d6b76c8436e924a68c45b-Abstract.html",
)
SIMARD = Source(
    "Simard, Steinkraus, Platt: Best practices for convolutional neural networks",
    "ICDAR 2003, section 2",
    "https://doi.org/10.1109/ICDAR.2003.1227801",
)
BISHOP = Source(
    "Bishop: Training with noise is equivalent to Tikhonov regularization",
    "Neural Computation 7, 1995",
    "https://doi.org/10.1162/neco.1995.7.1.108",
)
NOTES_ALEXNET = notes("002, AlexNet, data augmentation")
NOTES = notes("004, Data Augmentation")
TORCHVISION = Source("torchvision: transforms", "", "https://docs.pytorch.org/vision/stable/transforms.html")
FB_RESNET = Source(
    "fb.resnet.torch: image transformations",
    "datasets/transforms.lua",
    "https://github.com/facebookarchive/fb.resnet.torch/blob/master/datasets/transforms.lua",
)
TENSORFLOW = Source("TensorFlow: tf.image", "", "https://www.tensorflow.org/api_docs/python/tf/image")
KERAS = Source(
    "Keras: image augmentation layers",
    "",
    "https://keras.io/api/layers/preprocessing_layers/image_augmentation/",
)
PILLOW = Source("Pillow: the Image module", "", "https://pillow.readthedocs.io/en/stable/reference/Image.html")
OPENCV = Source(
    "OpenCV: geometric image transformations", "", "https://docs.opencv.org/4.x/da/d54/group__imgproc__transform.html"
)
SCIPY = Source(
    "SciPy: scipy.ndimage.rotate",
    "",
    "https://docs.scipy.org/doc/scipy/reference/generated/scipy.ndimage.rotate.html",
)
MATCONVNET = Source("MatConvNet: colour augmentation", "", "https://github.com/vlfeat/matconvnet/issues/613")
SKIMAGE = Source(
    "scikit-image: random_noise",
    "",
    "https://scikit-image.org/docs/stable/api/skimage.util.html#skimage.util.random_noise",
)
KEYS = Source(
    "Keys: Cubic convolution interpolation for digital image processing",
    "IEEE Transactions on Acoustics, Speech, and Signal Processing 29, 1981",
    "https://doi.org/10.1109/TASSP.1981.1163711",
)

BORDER = Convention(
    "border",
    "what the padding holds",
    (
        Option("zeros", "zeros", {"border": "zeros"}, ("torchvision RandomCrop", "fb.resnet.torch")),
        Option("reflect", "the image mirrored in its border pixels", {"border": "reflect"}, ("some CIFAR recipes",)),
    ),
    (TORCHVISION, FB_RESNET),
)
DIRECTION = Convention(
    "direction",
    "direction of a positive angle, the first row on top",
    (
        Option(
            "counter_clockwise",
            "counter-clockwise",
            {"direction": "counter_clockwise"},
            ("torchvision rotate", "Pillow", "NumPy rot90", "SciPy", "Keras", "OpenCV"),
        ),
        Option("clockwise", "clockwise", {"direction": "clockwise"}, ("torchvision affine",)),
    ),
    (TORCHVISION, PILLOW, SCIPY),
)
INTERPOLATION = Convention(
    "interpolation",
    "values between pixels, and at the border",
    (
        Option("nearest", "the nearest pixel", {"interpolation": "nearest"}, ("torchvision", "Pillow")),
        Option(
            "bilinear",
            "bilinear, as if the image lay in a plane of fill",
            {"interpolation": "bilinear"},
            ("torchvision", "torch grid_sample", "OpenCV", "Keras"),
        ),
        Option(
            "bilinear_clamped",
            "bilinear, the border continued to the pixels' edges",
            {"interpolation": "bilinear_clamped"},
            ("Pillow",),
        ),
        Option(
            "bilinear_inside",
            "bilinear, fill beyond the outermost pixels' centres",
            {"interpolation": "bilinear_inside"},
            ("SciPy with order=1",),
        ),
        Option(
            "nearest_inside",
            "the nearest pixel, fill beyond the outermost pixels' centres",
            {"interpolation": "nearest_inside"},
            ("SciPy with order=0",),
        ),
    ),
    (TORCHVISION, PILLOW, SCIPY, OPENCV),
)
RESAMPLING = Convention(
    "resampling",
    "weights of the old pixels in a new one",
    (
        Option(
            "antialias",
            "triangles as wide as a new pixel and its neighbours",
            {"resampling": "antialias"},
            ("torchvision", "Pillow BILINEAR", "jax.image"),
        ),
        Option(
            "half_pixel",
            "bilinear between four pixels, borders aligned",
            {"resampling": "half_pixel"},
            ("torch interpolate", "OpenCV", "tf.image.resize"),
        ),
        Option(
            "align_corners",
            "bilinear between four pixels, corner pixels aligned",
            {"resampling": "align_corners"},
            ("torch interpolate with align_corners", "TensorFlow 1"),
        ),
        Option(
            "nearest",
            "the pixel that the new one starts in",
            {"resampling": "nearest"},
            ("torch interpolate without mode", "OpenCV INTER_NEAREST"),
        ),
        Option(
            "nearest_centre",
            "the pixel that the new one's centre lies in",
            {"resampling": "nearest_centre"},
            ("Pillow NEAREST", "torch nearest-exact"),
        ),
        Option(
            "bicubic",
            "cubic, as wide as four new pixels",
            {"resampling": "bicubic"},
            ("Pillow resize", "MATLAB imresize"),
        ),
        Option(
            "bicubic_four",
            "cubic between sixteen pixels, with a = -3/4",
            {"resampling": "bicubic_four"},
            ("torch interpolate in mode bicubic", "OpenCV INTER_CUBIC"),
        ),
        Option(
            "area",
            "the mean of all pixels that the new one touches",
            {"resampling": "area"},
            ("torch interpolate in mode area", "torch adaptive_avg_pool2d"),
        ),
    ),
    (TORCHVISION, PILLOW, OPENCV, TENSORFLOW, KEYS),
)
ROUNDING = Convention(
    "rounding",
    "rounding of the longer side",
    (
        Option("down", "down", {"rounding": "down"}, ("torchvision",)),
        Option("nearest", "to the nearest", {"rounding": "nearest"}, ("Pillow thumbnail",)),
    ),
    (TORCHVISION, PILLOW),
)
RATIO = Convention(
    "ratio",
    "width of a new pixel in old ones, along the longer side",
    (
        Option("sides", "old over new length of that side", {"ratio": "sides"}, ("torchvision", "Pillow", "OpenCV")),
        Option(
            "common",
            "that of the shorter side, so that a part of a pixel is cut off",
            {"ratio": "common"},
            ("torch interpolate with scale_factor",),
        ),
    ),
    (TORCHVISION, PILLOW),
)
BRIGHTNESS = Convention(
    "brightness",
    "kind of a change of brightness",
    (
        Option("factor", "a factor", {"brightness_kind": "factor"}, ("torchvision", "Pillow", "fb.resnet.torch")),
        Option("shift", "an amount added", {"brightness_kind": "shift"}, ("Keras", "tf.image")),
    ),
    (TORCHVISION, KERAS, TENSORFLOW),
)
PIVOT = Convention(
    "contrast_pivot",
    "value that a change of contrast leaves in place",
    (
        Option(
            "grey_mean", "mean of the grey image", {"pivot": "grey_mean"}, ("torchvision", "Pillow", "fb.resnet.torch")
        ),
        Option("channel_means", "mean of each channel", {"pivot": "channel_means"}, ("tf.image", "Keras")),
    ),
    (TORCHVISION, TENSORFLOW, KERAS),
)
GREY = Convention(
    "grey",
    "weights of red, green and blue in a grey value",
    (
        Option("luma", "0.299, 0.587, 0.114", {"grey": "luma"}, ("fb.resnet.torch", "OpenCV", "Pillow")),
        Option("luma_0.2989", "0.2989, 0.587, 0.114", {"grey": "luma_0.2989"}, ("torchvision", "tf.image")),
        Option("mean", "a third each", {"grey": "mean"}, ("code written image.mean(0)",)),
    ),
    (TORCHVISION, FB_RESNET, OPENCV, TENSORFLOW),
)
ORDER = Convention(
    "order",
    "order of brightness, contrast and saturation, seen where values are clipped in between",
    (
        Option("random", "random for every image", {"order": "random"}, ("torchvision", "fb.resnet.torch")),
        Option(
            "fixed", "brightness, contrast, saturation", {"order": "fixed"}, ("code that calls one after the other",)
        ),
        Option(
            "saturation_first",
            "saturation, brightness, contrast",
            {"order": "saturation_first"},
            ("TensorFlow slim's Inception preprocessing",),
        ),
    ),
    (TORCHVISION, FB_RESNET),
)
JITTER_CLIPPING = Convention(
    "clipping",
    "what becomes of values beyond 0 and 1",
    (
        Option("unit", "clipped after every step", {"clipping": "unit"}, ("torchvision", "Keras")),
        Option("none", "kept", {"clipping": "none"}, ("fb.resnet.torch", "tf.image")),
        Option("end", "clipped after the last step", {"clipping": "end"}, ("code that clips what it returns",)),
    ),
    (TORCHVISION, KERAS, FB_RESNET),
)
LIGHTING = Convention(
    "scale",
    "what scales the random multiple of a component",
    (
        Option("eigenvalue", "its eigenvalue", {"scale": "eigenvalue"}, ("the paper", "fb.resnet.torch")),
        Option("root", "the root of its eigenvalue", {"scale": "root"}, ("MatConvNet",)),
    ),
    (ALEXNET, FB_RESNET, MATCONVNET),
)
NOISE = Convention(
    "parameter",
    "what the number given is",
    (
        Option("deviation", "the standard deviation", {"parameter": "deviation"}, ("torchvision", "Keras")),
        Option("variance", "the variance", {"parameter": "variance"}, ("scikit-image", "albumentations before 2.0")),
    ),
    (TORCHVISION, KERAS, SKIMAGE),
)
NOISE_CLIPPING = Convention(
    "clipping",
    "what becomes of values beyond 0 and 1",
    (
        Option("none", "kept", {"clipping": "none"}, ("Keras GaussianNoise",)),
        Option("unit", "clipped", {"clipping": "unit"}, ("torchvision", "scikit-image")),
    ),
    (KERAS, TORCHVISION, SKIMAGE),
)

RANDOM = {"generator": None}
"""The setting of every augmentation that draws."""


def _largest(case: Case) -> float:
    """Weighted sums of pixels round at the size of the largest."""
    sizes = np.abs(case.inputs["image"]).max(initial=0.0), abs(case.settings.get("fill", 0.0))
    return float(max(sizes))


def _terms(case: Case) -> int:
    """Roundings of a resized image: its longest weighted sums, twice, and the weights."""
    return 16 + 2 * max(case.inputs["image"].shape)


COMPONENTS: tuple[Component, ...] = (
    Component(
        "horizontal_flip", "stochastic", "Mirrors left and right, or not",
        r"y_{cij} = x_{c,i,W-1-j} \text{ with probability } p, \quad x_{cij} \text{ otherwise}",
        "f(image[C,H,W], p, generator)", (NOTES_ALEXNET, ALEXNET),
        inputs=("image",), settings={"p": 0.5, **RANDOM}, differentiable=(),
    ),
    Component(
        "random_crop", "stochastic", "Cuts out a window, every position equally likely",
        r"y_{cij} = x_{c,t+i,l+j},\quad t \sim U\{0, \dots, H-h\},\; l \sim U\{0, \dots, W-w\}",
        "f(image[C,H,W], size, generator, padding=0)", (NOTES, NOTES_ALEXNET, ALEXNET),
        inputs=("image",), settings={"padding": 0, **RANDOM}, conventions=(BORDER,), differentiable=(),
    ),
    Component(
        "translate", "function", "Moves by whole pixels, down by dy and right by dx",
        r"y_{cij} = x_{c,i-dy,j-dx} \text{ inside}, \quad \mathrm{fill} \text{ outside}",
        "f(image[C,H,W], dy, dx, fill=0)", (NOTES_ALEXNET, SIMARD),
        inputs=("image",), settings={"fill": 0.0}, differentiable=(),
    ),
    Component(
        "rotate", "function", "Rotates about the centre",
        r"y(v) = x\left(r + R_\theta^{-1}(v - r)\right),\quad r = \left(\tfrac{H-1}{2}, \tfrac{W-1}{2}\right)",
        "f(image[C,H,W], degrees, fill=0)", (NOTES, SIMARD, TORCHVISION),
        inputs=("image",), settings={"fill": 0.0}, conventions=(DIRECTION, INTERPOLATION),
        operations=lambda case: 32, magnitude=_largest, differentiable=(),
    ),
    Component(
        "color_jitter", "stochastic", "Changes brightness, contrast and saturation by random factors",
        r"y = f x + (1 - f) z,\quad f \sim U(\max(0, 1 - s), 1 + s)",
        "f(image[3,H,W], brightness, contrast, saturation, generator)", (NOTES_ALEXNET, TORCHVISION),
        inputs=("image",), settings={"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, **RANDOM},
        conventions=(BRIGHTNESS, PIVOT, GREY, JITTER_CLIPPING, ORDER),
        operations=lambda case: 32, magnitude=_largest, differentiable=(),
    ),
    Component(
        "pca_lighting", "stochastic", "Adds random amounts of the principal components of the training set's colours",
        r"y_{cij} = x_{cij} + \sum_k p_{ck} \alpha_k \lambda_k,\quad \alpha_k \sim N(0, \mathrm{std}^2)",
        "f(image[C,H,W], std, eigenvalues[C], eigenvectors[C,C], generator)", (NOTES_ALEXNET, ALEXNET),
        inputs=("image",), optional=("eigenvalues", "eigenvectors"), settings={"std": 0.1, **RANDOM},
        conventions=(LIGHTING,), operations=lambda case: 16, magnitude=_largest, differentiable=(),
    ),
    Component(
        "gaussian_noise", "stochastic", "Adds independent normal noise to every value",
        r"y_{cij} = x_{cij} + n_{cij},\quad n_{cij} \sim N(0, \mathrm{std}^2)",
        "f(image[C,H,W], std, generator)", (NOTES, BISHOP),
        inputs=("image",), settings=RANDOM, conventions=(NOISE, NOISE_CLIPPING), magnitude=_largest, differentiable=(),
    ),
    Component(
        "resize_shorter_side", "function", "Scales so that the shorter side has a given length",
        r"y_c = A_H \, x_c \, A_W^T,\quad A_{ij} \propto k\left(\tfrac{j - x_i}{s}\right),\quad "
        r"L' = \lfloor L \, \mathrm{size} / S \rfloor",
        "f(image[C,H,W], size)", (NOTES, ALEXNET, TORCHVISION),
        inputs=("image",), conventions=(RESAMPLING, ROUNDING, RATIO), operations=_terms, magnitude=_largest,
        differentiable=(),
    ),
)  # fmt: skip
