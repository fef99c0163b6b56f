"""What the initializers are: their settings, conventions and sources."""

from dlcheck.component import Component, Convention, Option, Source, notes

GLOROT = Source(
    "Glorot, Bengio: Understanding the difficulty of training deep feedforward neural networks",
    "AISTATS 2010, section 4.2, equations 12 and 16",
    "https://proceedings.mlr.press/v9/glorot10a.html",
)
HE = Source(
    "He, Zhang, Ren, Sun: Delving deep into rectifiers",
    "ICCV 2015, section 2.2, equations 10, 14 and 15",
    "https://arxiv.org/abs/1502.01852",
)
SAXE = Source(
    "Saxe, McClelland, Ganguli: Exact solutions to the nonlinear dynamics of learning in deep linear neural networks",
    "ICLR 2014, section 3.1",
    "https://arxiv.org/abs/1312.6120",
)
MEZZADRI = Source(
    "Mezzadri: How to generate random matrices from the classical compact groups",
    "Notices of the AMS 54, 2007, section 5",
    "https://arxiv.org/abs/math-ph/0609050",
)
ROBERT = Source(
    "Robert: Simulation of truncated normal variables",
    "Statistics and Computing 5, 1995, section 2",
    "https://arxiv.org/abs/0907.4010",
)
TORCH = Source("PyTorch: torch.nn.init", "", "https://docs.pytorch.org/docs/stable/nn.init.html")
KERAS = Source("Keras: layer weight initializers", "", "https://keras.io/api/layers/initializers/")
MXNET = Source(
    "MXNet: initializers",
    "python/mxnet/initializer.py",
    "https://github.com/apache/mxnet/blob/master/python/mxnet/initializer.py",
)
JAX = Source(
    "JAX: initializers",
    "jax.nn.initializers",
    "https://docs.jax.dev/en/latest/jax.nn.initializers.html",
)
CAFFE = Source("Caffe: fillers", "filler.hpp", "https://github.com/BVLC/caffe/blob/master/include/caffe/filler.hpp")
LASAGNE = Source(
    "Lasagne: initializers", "lasagne/init.py", "https://github.com/Lasagne/Lasagne/blob/master/lasagne/init.py"
)
TIMM = Source(
    "timm: weight initializers",
    "trunc_normal_tf_",
    "https://github.com/huggingface/pytorch-image-models/blob/main/timm/layers/weight_init.py",
)
TORCHVISION = Source(
    "torchvision: ResNet", "", "https://github.com/pytorch/vision/blob/main/torchvision/models/resnet.py"
)
NOTES = notes("004, Parameters Initialization")

NORMAL_SCALE = Convention(
    "default_scale",
    "deviation when none is given",
    (
        Option("1", "std = 1", {"std": 1.0}, ("PyTorch",)),
        Option("0.05", "std = 0.05", {"std": 0.05}, ("Keras",)),
        Option("0.01", "std = 0.01", {"std": 0.01}, ("Lasagne", "MXNet", "JAX")),
    ),
    (TORCH, KERAS, LASAGNE, MXNET, JAX),
)
UNIFORM_SCALE = Convention(
    "default_scale",
    "range when none is given",
    (
        Option("0_to_1", "[0, 1)", {"a": 0.0, "b": 1.0}, ("PyTorch",)),
        Option("0.05", "[-0.05, 0.05)", {"a": -0.05, "b": 0.05}, ("Keras",)),
        Option("0.01", "[-0.01, 0.01)", {"a": -0.01, "b": 0.01}, ("Lasagne",)),
        Option("0.07", "[-0.07, 0.07)", {"a": -0.07, "b": 0.07}, ("MXNet",)),
    ),
    (TORCH, KERAS, LASAGNE, MXNET),
)
XAVIER_FAN = Convention(
    "fan",
    "fan that the variance is the reciprocal of",
    (
        Option("average", "(fan_in + fan_out) / 2", {"fan": "average"}, ("the paper", "PyTorch", "Keras", "MXNet")),
        Option("fan_in", "fan_in", {"fan": "fan_in"}, ("Caffe",)),
    ),
    (GLOROT, CAFFE),
)
XAVIER_MAGNITUDE = Convention(
    "magnitude",
    "factor on the variance of the normal law",
    (
        Option("1", "variance 1 / fan", {"magnitude": 1.0}, ("PyTorch", "Keras", "JAX")),
        Option(
            "3", "variance 3 / fan, as the uniform law's bound is the root of 3 / fan", {"magnitude": 3.0}, ("MXNet",)
        ),
    ),
    (GLOROT, MXNET),
)
HE_FAN = Convention(
    "fan",
    "fan when no mode is given",
    (
        Option(
            "fan_in", "fan_in, which keeps the signal's variance", {"mode": "fan_in"}, ("PyTorch", "Keras", "Caffe")
        ),
        Option(
            "fan_out",
            "fan_out, which keeps the gradient's variance",
            {"mode": "fan_out"},
            ("torchvision", "fb.resnet.torch"),
        ),
    ),
    (HE, TORCHVISION),
)
HE_GAIN = Convention(
    "gain",
    "gain when neither a nonlinearity nor a slope is given",
    (
        Option("relu", "sqrt(2), that of ReLU", {"a": 0.0}, ("PyTorch", "Keras", "JAX", "Caffe")),
        Option("slope_quarter", "sqrt(2 / (1 + 0.25^2)), that of PReLU at its start", {"a": 0.25}, ("MXNet",)),
        Option("linear", "1, until a nonlinearity is named", {"nonlinearity": "linear"}, ("Lasagne",)),
    ),
    (HE, MXNET, LASAGNE),
)
NORMAL_LAW = Convention(
    "law",
    "law of the given deviation",
    (
        Option("normal", "normal", {"law": "normal"}, ("the papers", "PyTorch", "MXNet", "Caffe")),
        Option(
            "truncated",
            "normal, cut at two deviations and scaled so that its deviation is the given one",
            {"law": "truncated"},
            ("Keras", "JAX"),
        ),
    ),
    (KERAS, JAX),
)
ORTHOGONAL_ROUTE = Convention(
    "route",
    "where the orthogonal matrix comes from",
    (
        Option("qr", "QR with the signs of R: Haar's measure", {"route": "qr"}, ("PyTorch", "JAX", "Keras")),
        Option("svd", "singular vectors: Haar's measure up to signs", {"route": "svd"}, ("Lasagne",)),
    ),
    (MEZZADRI, LASAGNE),
)
TRUNCATED_BOUNDS = Convention(
    "bounds",
    "what the bounds a and b count",
    (
        Option("absolute", "values of the weight", {"bounds": "absolute"}, ("PyTorch",)),
        Option(
            "deviations", "deviations from the mean", {"bounds": "deviations"}, ("Keras", "TensorFlow", "JAX", "timm")
        ),
    ),
    (TORCH, TIMM),
)
TRUNCATED_STD = Convention(
    "std",
    "whose deviation std is",
    (
        Option("before", "that of the law before the cut", {"corrected": False}, ("PyTorch", "Keras TruncatedNormal")),
        Option("after", "that of the law after the cut", {"corrected": True}, ("Keras VarianceScaling", "JAX")),
    ),
    (TORCH, KERAS),
)

RANDOM = {"generator": None}
"""The setting of every initializer that draws."""

COMPONENTS = (
    Component(
        "constant_", "initializer", "Fills with one value.", r"w = \mathrm{val}", "torch.nn.init.constant_",
        (NOTES, TORCH), settings={"val": 0.0},
    ),
    Component(
        "normal_", "initializer", "Draws from a normal law.", r"w \sim N(\mu, \sigma^2)", "torch.nn.init.normal_",
        (NOTES, TORCH), settings={"mean": 0.0, "std": 1.0, **RANDOM}, conventions=(NORMAL_SCALE,),
    ),
    Component(
        "uniform_", "initializer", "Draws from a uniform law.", r"w \sim U(a, b)", "torch.nn.init.uniform_",
        (NOTES, TORCH), settings={"a": 0.0, "b": 1.0, **RANDOM}, conventions=(UNIFORM_SCALE,),
    ),
    Component(
        "xavier_uniform_", "initializer", "Draws uniformly so that signals and gradients roughly keep their variance.",
        r"w \sim U(-b, b),\quad b = g \sqrt{\frac{6}{n_{in} + n_{out}}}", "torch.nn.init.xavier_uniform_",
        (GLOROT, NOTES), settings={"gain": 1.0, **RANDOM}, conventions=(XAVIER_FAN,),
    ),
    Component(
        "xavier_normal_", "initializer", "Draws normally so that signals and gradients roughly keep their variance.",
        r"w \sim N\left(0, \frac{2 g^2}{n_{in} + n_{out}}\right)", "torch.nn.init.xavier_normal_",
        (GLOROT, NOTES), settings={"gain": 1.0, **RANDOM}, conventions=(XAVIER_FAN, XAVIER_MAGNITUDE, NORMAL_LAW),
    ),
    Component(
        "kaiming_uniform_", "initializer",
        "Draws uniformly so that a rectified layer keeps the variance of its signal.",
        r"w \sim U(-b, b),\quad b = g \sqrt{\frac{3}{n}},\quad g = \sqrt{\frac{2}{1 + a^2}}",
        "torch.nn.init.kaiming_uniform_", (HE,),
        settings={"a": 0.0, "mode": "fan_in", "nonlinearity": "leaky_relu", **RANDOM}, conventions=(HE_FAN, HE_GAIN),
    ),
    Component(
        "kaiming_normal_", "initializer", "Draws normally so that a rectified layer keeps the variance of its signal.",
        r"w \sim N\left(0, \frac{g^2}{n}\right),\quad g = \sqrt{\frac{2}{1 + a^2}}", "torch.nn.init.kaiming_normal_",
        (HE,),
        settings={"a": 0.0, "mode": "fan_in", "nonlinearity": "leaky_relu", **RANDOM},
        conventions=(HE_FAN, HE_GAIN, NORMAL_LAW),
    ),
    Component(
        "orthogonal_", "initializer", "Draws a matrix with orthonormal columns or rows.",
        r"W = g\, Q \operatorname{diag}(\operatorname{sign} R_{ii}),\quad QR = G,\quad G_{ij} \sim N(0, 1)",
        "torch.nn.init.orthogonal_", (SAXE, MEZZADRI),
        settings={"gain": 1.0, **RANDOM},
        conventions=(ORTHOGONAL_ROUTE,),
    ),
    Component(
        "trunc_normal_", "initializer", "Draws from a normal law cut at two bounds.",
        r"w \sim N(\mu, \sigma^2) \mid a \le w \le b", "torch.nn.init.trunc_normal_", (ROBERT, TORCH),
        settings={"mean": 0.0, "std": 1.0, "a": -2.0, "b": 2.0, **RANDOM},
        conventions=(TRUNCATED_BOUNDS, TRUNCATED_STD, NORMAL_SCALE),
    ),
    Component(
        "reciprocal_uniform_", "initializer", "Draws uniformly between plus and minus one over the number of inputs.",
        r"w \sim U\left(-\frac{1}{n}, \frac{1}{n}\right)", "f(tensor, generator=None) -> tensor, in place", (NOTES,),
        settings=RANDOM,
    ),
)  # fmt: skip
