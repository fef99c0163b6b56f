"""What the losses are: their inputs, settings, conventions and sources."""

from typing import Any

import numpy as np

from dlcheck.component import Case, Component, Convention, Option, Source, notes

NOTES = notes("001, sections 9 and 10")
GOODFELLOW = "Goodfellow, Bengio, Courville: Deep learning"
BOOK = "https://www.deeplearningbook.org"
TORCH = Source(
    "PyTorch: torch.nn.functional", "loss functions", "https://docs.pytorch.org/docs/stable/nn.functional.html"
)
OPTAX = Source("optax: losses", "", "https://optax.readthedocs.io/en/latest/api/losses.html")
KERAS = Source("Keras: losses", "", "https://keras.io/api/losses/")
MLX = Source(
    "MLX: losses", "python/mlx/nn/losses.py", "https://github.com/ml-explore/mlx/blob/main/python/mlx/nn/losses.py"
)
TENSORFLOW = Source("TensorFlow: tf.nn.l2_loss", "", "https://www.tensorflow.org/api_docs/python/tf/nn/l2_loss")
TF1 = Source(
    "TensorFlow 1: Reduction", "SUM_BY_NONZERO_WEIGHTS",
    "https://www.tensorflow.org/api_docs/python/tf/compat/v1/losses/Reduction",
)  # fmt: skip
GLUON = Source(
    "MXNet: gluon losses", "python/mxnet/gluon/loss.py",
    "https://github.com/apache/mxnet/blob/master/python/mxnet/gluon/loss.py",
)  # fmt: skip


def _caffe(layer: str) -> Source:
    file = f"src/caffe/layers/{layer}.cpp"
    return Source("Caffe", file, f"https://github.com/BVLC/caffe/blob/master/{file}")


HUBER = Source(
    "Huber: Robust estimation of a location parameter", "1964, section 4", "https://doi.org/10.1214/aoms/1177703732"
)
FAST_RCNN = Source("Girshick: Fast R-CNN", "ICCV 2015, equation 3", "https://arxiv.org/abs/1504.08083")
H2O = Source("H2O: huber deviance", "issue 6015", "https://github.com/h2oai/h2o-3/pull/6015")
SZEGEDY = Source(
    "Szegedy, Vanhoucke, Ioffe, Shlens, Wojna: Rethinking the inception architecture",
    "CVPR 2016, section 7",
    "https://arxiv.org/abs/1512.00567",
)
FAIRSEQ = Source(
    "fairseq: label smoothed cross-entropy", "fairseq/criterions/label_smoothed_cross_entropy.py",
    "https://github.com/facebookresearch/fairseq/blob/main/fairseq/criterions/label_smoothed_cross_entropy.py",
)  # fmt: skip
OPENNMT = Source(
    "OpenNMT-py: LabelSmoothingLoss", "removed in #2270", "https://github.com/OpenNMT/OpenNMT-py/pull/2270"
)
ALL_IGNORED_THREAD = Source("PyTorch", "issue 70348", "https://github.com/pytorch/pytorch/issues/70348")
WESTON = Source(
    "Weston, Watkins: Support vector machines for multi-class pattern recognition",
    "ESANN 1999, section 3",
    "https://www.esann.org/sites/default/files/proceedings/legacy/es1999-461.pdf",
)
CRAMMER = Source(
    "Crammer, Singer: On the algorithmic implementation of multiclass kernel-based vector machines",
    "JMLR 2001, section 3",
    "https://www.jmlr.org/papers/v2/crammer01a.html",
)
CS231N = Source("CS231n: linear classification", "", "https://cs231n.github.io/linear-classify/")


def _default(*others: Option, none: tuple[str, ...] = ("optax", "TensorFlow")) -> Convention:
    """What comes back where no reduction is asked for."""
    mean = Option("mean", "the mean", {}, ("PyTorch", "Keras", "Chainer"))
    return Convention(
        "default_reduction",
        "what is returned where no reduction is asked for",
        (mean, Option("none", "every loss", {"reduction": "none"}, none), *others),
        (TORCH, OPTAX, MLX),
    )


SCALE = Convention(
    "scale",
    "factor and divisor where no reduction is asked for",
    (
        Option("mean", "mean over all elements", {}, ("PyTorch", "Keras", "Chainer")),
        Option("none", "every squared error", {"reduction": "none"}, ("optax.squared_error",)),
        Option("half_mean", "half the mean", {"factor": 0.5}, ("MXNet gluon L2Loss",)),
        Option("half_none", "half of every squared error", {"factor": 0.5, "reduction": "none"}, ("optax.l2_loss",)),
        Option("half_sum", "half the sum", {"factor": 0.5, "reduction": "sum"}, ("tf.nn.l2_loss",)),
        Option(
            "half_batch", "half the sum over the batch size", {"factor": 0.5, "mean_over": "batch"},
            ("Caffe EuclideanLoss",),
        ),
    ),
    (TORCH, OPTAX, GLUON, TENSORFLOW, _caffe("euclidean_loss_layer")),
)  # fmt: skip
AT_ZERO = Convention(
    "gradient_at_zero",
    "derivative where input and target are equal",
    (
        Option("0", "the sign of 0", {"gradient_at_zero": 0.0}, ("PyTorch", "TensorFlow", "JAX")),
        Option("1", "as right of zero", {"gradient_at_zero": 1.0}, ("code written where(e >= 0, 1, -1)",)),
        Option("-1", "as left of zero", {"gradient_at_zero": -1.0}, ("code written where(e > 0, 1, -1)",)),
    ),
    (TORCH,),
)
SCALING = Convention(
    "scaling",
    "slope of the linear part, and what delta is",
    (
        Option("delta", "slope delta", {"scaling": "delta"}, ("PyTorch HuberLoss", "Keras Huber", "optax")),
        Option(
            "slope_one", "slope 1: all divided by delta", {"scaling": "slope_one"}, ("PyTorch SmoothL1Loss, its beta",)
        ),
        Option("sigma", "slope 1 beyond 1/delta^2", {"scaling": "sigma"}, ("Fast R-CNN's smooth L1, its sigma",)),
        Option("doubled", "slope 2 delta: twice the loss", {"scaling": "doubled"}, ("H2O",)),
    ),
    (HUBER, TORCH, FAST_RCNN, H2O),
)
BATCH = Option(
    "batch", "sum over the labels, mean over the batch", {"mean_over": "batch"}, ("Caffe SigmoidCrossEntropyLoss",)
)
WEIGHTED_MEAN = Convention(
    "weighted_mean",
    "what the mean divides by where classes have weights",
    (
        Option("weights", "the sum of the targets' weights", {"weighted_mean": "weights"}, ("PyTorch",)),
        Option("count", "the number of targets kept", {"weighted_mean": "count"}, ("Keras", "Caffe")),
        Option("nonzero", "the number of them whose weight is not 0", {"weighted_mean": "nonzero"}, ("TensorFlow 1",)),
    ),
    (TORCH, KERAS, TF1, _caffe("softmax_loss_layer")),
)
ALL_IGNORED = Convention(
    "all_ignored",
    "the mean where every target is ignored",
    (
        Option("nan", "NaN, as 0/0", {"all_ignored": "nan"}, ("PyTorch since 1.11",)),
        Option("zero", "0", {"all_ignored": "zero"}, ("Caffe", "PyTorch before 1.11")),
    ),
    (ALL_IGNORED_THREAD, _caffe("softmax_loss_layer")),
)
SMOOTHING_MASS = Convention(
    "smoothing_mass",
    "who shares the smoothed part of the target",
    (
        Option("all", "every class: eps / C", {"smoothing_mass": "all"}, ("PyTorch", "Keras", "optax")),
        Option("others", "all but the true one: eps / (C - 1)", {"smoothing_mass": "others"}, ("fairseq",)),
        Option(
            "unpadded", "all but the true one and the ignored one: eps / (C - 2)", {"smoothing_mass": "unpadded"},
            ("OpenNMT-py",),
        ),
    ),
    (SZEGEDY, FAIRSEQ, OPENNMT),
)  # fmt: skip
FORMULA = Convention(
    "formula",
    "how the violations of the other classes are put together",
    (
        Option("averaged", "summed, divided by all C classes", {"formula": "averaged"}, ("PyTorch MultiMarginLoss",)),
        Option("summed", "summed", {"formula": "summed"}, ("Weston and Watkins", "CS231n")),
        Option("maximal", "the largest", {"formula": "maximal"}, ("Crammer and Singer",)),
        Option(
            "maximal_with_zero", "the largest, of scores with a 0 among them", {"formula": "maximal_with_zero"},
            ("Keras CategoricalHinge",),
        ),
        Option("one_against_all", "a two-class hinge a class", {"formula": "one_against_all"}, ("Caffe HingeLoss",)),
        Option(
            "one_against_all_averaged", "the mean of a two-class hinge a class",
            {"formula": "one_against_all_averaged"}, ("Keras Hinge",),
        ),
    ),
    (WESTON, CRAMMER, CS231N, KERAS, _caffe("hinge_loss_layer")),
)  # fmt: skip
AT_KINK = Convention(
    "gradient_at_kink",
    "derivative where the margin is met exactly",
    (
        Option("0", "none: not violated", {"gradient_at_kink": 0.0}, ("PyTorch MultiMarginLoss", "relu")),
        Option("1", "that of a violation", {"gradient_at_kink": 1.0}, ("torch.clamp", "code written violation >= 0")),
        Option("0.5", "half of it", {"gradient_at_kink": 0.5}, ("torch.maximum", "jax.numpy.maximum")),
    ),
    (TORCH,),
)


def _terms(case: Case) -> int:
    """Roundings of a loss that may be a sum over all elements."""
    return 8 + case.inputs.get("input", case.inputs.get("scores")).size


def _largest(case: Case) -> float:
    """Formulas such as log(sum(exp(x))) - x_y round at the size of the logits; gradients s - y at that of grad."""
    if case.run == "backward":
        return float(np.abs(case.inputs["grad_output"]).max(initial=0.0))
    finite = case.inputs["input"][np.isfinite(case.inputs["input"])]
    return float(np.abs(finite).max(initial=1.0))


def _of_softmax(case: Case) -> float:
    """exp(x - log(sum(exp(x)))) as a softmax has the relative error of what was subtracted, of the logits' size."""
    finite = case.inputs["input"][np.isfinite(case.inputs["input"])]
    return _largest(case) * (float(np.abs(finite).max(initial=1.0)) if case.run == "backward" else 1.0)


def _component(name: str, summary: str, formula: str, *sources: Source, **others: Any) -> Component:
    given = {"inputs": ("input", "target"), "differentiable": ("input",), "operations": _terms, **others}
    given["settings"] = {"reduction": "mean", **others.get("settings", {})}
    model = given.pop("model", f"torch.nn.functional.{name}")
    return Component(name, "function", summary, formula, model, (*sources, NOTES), **given)


COMPONENTS: tuple[Component, ...] = (
    _component(
        "mse_loss",
        "Mean squared error",
        r"\frac1n \sum_i (x_i - y_i)^2",
        Source(GOODFELLOW, "2016, equation 5.4", BOOK),
        differentiable=("input", "target"),
        conventions=(SCALE,),
    ),
    _component(
        "l1_loss",
        "Mean absolute error",
        r"\frac1n \sum_i |x_i - y_i|",
        Source("Hastie, Tibshirani, Friedman: The elements of statistical learning", "2009, section 10.6"),
        differentiable=("input", "target"),
        conventions=(_default(), AT_ZERO),
    ),
    _component(
        "huber_loss",
        "Huber's loss: squared near, linear far out",
        r"\frac1n \sum_i h(|x_i - y_i|), \quad h(e) = e^2 / 2 \text{ for } e \le \delta, "
        r"\delta (e - \delta / 2) \text{ beyond}",
        HUBER,
        differentiable=("input", "target"),
        settings={"delta": 1.0},
        conventions=(_default(), SCALING),
    ),
    _component(
        "binary_cross_entropy_with_logits",
        "Binary cross-entropy of logits, with weights of elements and of the positive class",
        r"-\frac1n \sum_i w_i \left( p_i y_i \log \sigma(x_i) + (1 - y_i) \log \sigma(-x_i) \right)",
        Source(GOODFELLOW, "2016, equations 6.23 to 6.26", BOOK),
        optional=("weight", "pos_weight"),
        conventions=(_default(BATCH),),
        magnitude=_largest,
    ),
    _component(
        "cross_entropy",
        "Cross-entropy of logits with classes or distributions: class weights, an ignored label, smoothing",
        r"-\frac{1}{\sum_n w_{y_n}} \sum_n w_{y_n} \log \frac{e^{x_{n y_n}}}{\sum_c e^{x_{nc}}}",
        Source(GOODFELLOW, "2016, equation 6.30", BOOK),
        SZEGEDY,
        optional=("weight",),
        settings={"ignore_index": -100, "label_smoothing": 0.0},
        conventions=(_default(none=("optax", "TensorFlow", "MLX")), WEIGHTED_MEAN, ALL_IGNORED, SMOOTHING_MASS),
        magnitude=_of_softmax,
    ),
    _component(
        "nll_loss",
        "Negative log-likelihood of classes under log-probabilities",
        r"-\frac{1}{\sum_n w_{y_n}} \sum_n w_{y_n} x_{n y_n}",
        Source(GOODFELLOW, "2016, equation 6.12", BOOK),
        optional=("weight",),
        settings={"ignore_index": -100},
        conventions=(_default(none=("MLX",)), WEIGHTED_MEAN, ALL_IGNORED),
        magnitude=_largest,
    ),
    _component(
        "kl_div",
        "Kullback-Leibler divergence of log-probabilities from a target distribution",
        r"\frac1n \sum_i p_i (\log p_i - x_i)",
        Source(GOODFELLOW, "2016, equation 3.50", BOOK),
        settings={"log_target": False},
        conventions=(
            Convention(
                "default_reduction",
                "what is returned where no reduction is asked for",
                (
                    Option("mean", "the mean over all elements", {}, ("PyTorch", "MXNet before 2")),
                    Option("batchmean", "the mean divergence", {"reduction": "batchmean"}, ("Keras",)),
                    Option("classes", "every divergence", {"reduction": "classes"}, ("optax", "MLX")),
                ),
                (TORCH, KERAS, OPTAX),
            ),
        ),
        magnitude=_largest,
    ),
    _component(
        "hinge_loss",
        "Multi-class margin loss",
        r"\frac1N \sum_n \frac1C \sum_{j \ne y_n} \max(0, m - s_{n y_n} + s_{nj})",
        WESTON,
        CRAMMER,
        model='hinge_loss(scores[N,C], target[N], margin=1.0, reduction="mean")',
        inputs=("scores", "target"),
        differentiable=("scores",),
        settings={"margin": 1.0},
        conventions=(_default(), FORMULA, AT_KINK),
    ),
)
