"""What regularisation is made of: inputs, settings, conventions and sources."""

from typing import Any

import numpy as np

from dlcheck.component import Case, Component, Convention, Option, Source, notes

GOODFELLOW = "Goodfellow, Bengio, Courville: Deep learning"
BOOK = "https://www.deeplearningbook.org"
SRIVASTAVA = Source(
    "Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov: Dropout",
    "JMLR 2014, sections 4 and 10",
    "https://jmlr.org/papers/v15/srivastava14a.html",
)
PASCANU = Source(
    "Pascanu, Mikolov, Bengio: On the difficulty of training recurrent neural networks",
    "ICML 2013, algorithm 1",
    "https://arxiv.org/abs/1211.5063",
)
MIKOLOV = Source(
    "Mikolov: Statistical language models based on neural networks",
    "2012, section 3.2.2",
    "https://www.fit.vut.cz/study/phd-thesis/283/",
)
PRECHELT = Source(
    "Prechelt: Early stopping - but when?", "1998, section 2.2", "https://doi.org/10.1007/3-540-49430-8_3"
)
TORCH = Source("PyTorch: torch.nn.utils", "", "https://docs.pytorch.org/docs/stable/nn.html#utilities")
TORCH_DROPOUT = Source(
    "PyTorch: dropout", "", "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout.html"
)
TORCH7 = Source("Torch7: nn.Dropout", "Dropout.lua, v2", "https://github.com/torch/nn/blob/master/Dropout.lua")
TF1_DROPOUT = Source("dynet: what p means", "issue 186", "https://github.com/clab/dynet/issues/186")
KERAS_L2 = Source("Keras: weight regularizers", "", "https://keras.io/api/layers/regularizers/")
TENSORFLOW = Source(
    "TensorFlow: tf.clip_by_global_norm", "issue 21363", "https://github.com/tensorflow/tensorflow/issues/21363"
)
OPTAX = Source("optax: clip_by_global_norm", "", "https://optax.readthedocs.io/en/latest/api/transformations.html")
LASAGNE = Source(
    "Lasagne: total_norm_constraint", "lasagne/updates.py",
    "https://github.com/Lasagne/Lasagne/blob/master/lasagne/updates.py",
)  # fmt: skip
KERAS_STOPPING = Source("Keras: EarlyStopping", "", "https://keras.io/api/callbacks/early_stopping/")
IGNITE_STOPPING = Source(
    "PyTorch Ignite: EarlyStopping", "cumulative_delta",
    "https://docs.pytorch.org/ignite/generated/ignite.handlers.early_stopping.EarlyStopping.html",
)  # fmt: skip
OLD_KERAS = Source("Keras", "pull request 8100", "https://github.com/keras-team/keras/pull/8100")
SKLEARN = Source(
    "scikit-learn: MLPClassifier", "_update_no_improvement_count",
    "https://github.com/scikit-learn/scikit-learn/blob/main/sklearn/neural_network/_multilayer_perceptron.py",
)  # fmt: skip

SCALING = Convention(
    "scaling",
    "where what is dropped is made up for",
    (
        Option(
            "inverted", "kept elements are divided by 1 - p in training", {"scaling": "inverted"},
            ("PyTorch", "Keras", "Flax", "Caffe", "Chainer"),
        ),
        Option(
            "original", "everything is multiplied by 1 - p outside training", {"scaling": "original"},
            ("Srivastava et al. 2014", "Torch7 version 1"),
        ),
    ),
    (SRIVASTAVA, TORCH_DROPOUT, TORCH7),
)  # fmt: skip
PARAMETER = Convention(
    "parameter",
    "which probability p is",
    (
        Option("drop", "of dropping", {"parameter": "drop"}, ("PyTorch", "Keras", "Flax", "Chainer")),
        Option("keep", "of keeping", {"parameter": "keep"}, ("TensorFlow 1", "Srivastava et al. 2014")),
    ),
    (SRIVASTAVA, TORCH_DROPOUT, TF1_DROPOUT),
)
AT_ZERO = Convention(
    "gradient_at_zero",
    "derivative of |w| at exactly 0",
    (
        Option("0", "the sign of 0", {"gradient_at_zero": 0.0}, ("torch.abs", "numpy.sign", "jax.numpy.abs")),
        Option("1", "as right of zero", {"gradient_at_zero": 1.0}, ("code written where(w >= 0, 1, -1)",)),
        Option("-1", "as left of zero", {"gradient_at_zero": -1.0}, ("code written where(w > 0, 1, -1)",)),
    ),
    (Source("PyTorch: torch.abs", "", "https://docs.pytorch.org/docs/stable/generated/torch.abs.html"),),
)
FACTOR = Convention(
    "factor",
    "whether the squares are halved",
    (
        Option("half", "strength / 2 times the squares", {"factor": 0.5}, ("Goodfellow et al. 2016", "the notes")),
        Option("whole", "strength times the squares", {"factor": 1.0}, ("Keras", "scikit-learn's ridge")),
    ),
    (Source(GOODFELLOW, "2016, equation 7.2", BOOK), KERAS_L2),
)
EPSILON = Convention(
    "epsilon",
    "what is added to the norm that divides",
    (
        Option("1e-6", "0.000001", {"epsilon": 1e-6}, ("PyTorch",)),
        Option("0", "nothing", {"epsilon": 0.0}, ("TensorFlow", "optax")),
        Option("1e-7", "0.0000001", {"epsilon": 1e-7}, ("Lasagne",)),
        Option("1e-8", "0.00000001", {"epsilon": 1e-8}, ("code that guards its division so",)),
    ),
    (TORCH, TENSORFLOW, OPTAX, LASAGNE),
)
SCOPE = Convention(
    "scope",
    "whose norm is bounded",
    (
        Option("all", "all gradients have one", {"scope": "all"}, ("PyTorch", "tf.clip_by_global_norm", "optax")),
        Option("each", "each has its own", {"scope": "each"}, ("Keras clipnorm", "tf.clip_by_norm", "BertAdam")),
    ),
    (
        TENSORFLOW,
        Source("keras-team/keras#13575", "", "https://github.com/keras-team/keras/issues/13575"),
        Source("huggingface/transformers#581", "", "https://github.com/huggingface/transformers/issues/581"),
    ),
)
WITHIN = Convention(
    "within",
    "gradients whose norm is small enough",
    (
        Option("kept", "stay as they are", {"within": "kept"}, ("PyTorch", "TensorFlow", "optax")),
        Option("scaled", "are divided by norm + epsilon as well", {"within": "scaled"}, ("Lasagne",)),
    ),
    (LASAGNE,),
)
NONFINITE = Convention(
    "nonfinite",
    "what a norm that is not finite leaves of finite elements",
    (
        Option("scaled", "0 where infinite, else NaN", {"nonfinite": "scaled"}, ("PyTorch", "tf.clip_by_norm")),
        Option("nan", "NaN", {"nonfinite": "nan"}, ("tf.clip_by_global_norm",)),
        Option("kept", "0 where infinite, else all of them", {"nonfinite": "kept"}, ("code written if norm > limit",)),
    ),
    (TORCH, TENSORFLOW),
)
WAITS = Convention(
    "waits",
    "how many bad values in a row stop it",
    (
        Option("patience", "as many as patience", {"waits": "patience"}, ("Keras", "PyTorch Lightning")),
        Option("one_more", "one more than patience", {"waits": "one_more"}, ("scikit-learn", "Keras before 2.0.9")),
    ),
    (KERAS_STOPPING, OLD_KERAS, SKLEARN),
)
REFERENCE_VALUE = Convention(
    "reference_value",
    "what becomes the best value, and which gain is good",
    (
        Option(
            "best", "what gains more than min_delta", {"reference_value": "best"}, ("Keras", "PyTorch Lightning")
        ),
        Option(
            "lowest", "whatever is better; a gain of min_delta is good", {"reference_value": "lowest"},
            ("scikit-learn",),
        ),
        Option(
            "any_gain", "whatever is better; a gain of more than min_delta is good", {"reference_value": "any_gain"},
            ("PyTorch Ignite",),
        ),
    ),
    (KERAS_STOPPING, SKLEARN, IGNITE_STOPPING),
)  # fmt: skip


def _summed(case: Case) -> int:
    return 8 + np.size(case.inputs["weight"])


def _all_elements(case: Case) -> int:
    return 8 + sum(np.size(grad) for grad in case.inputs["grads"] if grad is not None)


def _penalty(name: str, summary: str, formula: str, *sources: Source, **others: Any) -> Component:
    model = f"{name}(weight, strength=1.0)"
    fields = {"inputs": ("weight",), "settings": {"strength": 1.0}, "operations": _summed, **others}
    return Component(name, "function", summary, formula, model, sources, **fields)


COMPONENTS: tuple[Component, ...] = (
    Component(
        "dropout",
        "stochastic",
        "Sets elements to zero at random in training",
        r"y_i = \frac{m_i}{1 - p} x_i, \quad m_i \sim \mathrm{Bernoulli}(1 - p)",
        "torch.nn.functional.dropout",
        (notes("004, Dropout"), SRIVASTAVA),
        inputs=("input",),
        settings={"p": 0.5, "training": True, "generator": None},
        conventions=(SCALING, PARAMETER),
    ),
    _penalty(
        "l1_penalty",
        "L1 norm penalty on weights",
        r"C \sum_i |w_i|",
        Source(GOODFELLOW, "2016, section 7.1.2", BOOK),
        conventions=(AT_ZERO,),
    ),
    _penalty(
        "l2_penalty",
        "L2 norm penalty on weights: weight decay, ridge, Tikhonov",
        r"\frac{C}{2} \sum_i w_i^2",
        notes("004, Regularization, L2"),
        Source(GOODFELLOW, "2016, section 7.1.1", BOOK),
        conventions=(FACTOR,),
    ),
    Component(
        "clip_grad_norm",
        "clipping",
        "Scales all gradients together so that their common norm is bounded",
        r"g \leftarrow g \min\left(1, \frac{c}{\|g\| + \epsilon}\right)",
        "torch.nn.utils.clip_grad_norm_",
        (PASCANU,),
        settings={"max_norm": 1.0, "norm_type": 2.0, "error_if_nonfinite": False},
        conventions=(EPSILON, NONFINITE, SCOPE, WITHIN),
        operations=_all_elements,
    ),
    Component(
        "clip_grad_value",
        "clipping",
        "Bounds every element of every gradient",
        r"g_i \leftarrow \max(-c, \min(g_i, c))",
        "torch.nn.utils.clip_grad_value_",
        (MIKOLOV,),
        settings={"clip_value": 1.0},
    ),
    Component(
        "early_stopping",
        "stopping",
        "Stops training when a value has not improved for some epochs",
        r"\text{stop if } v_t, \dots, v_{t - P + 1} \text{ each miss } v_{\text{best}} - \delta",
        "EarlyStopping(patience, min_delta=0.0, mode='min')",
        (notes("001, section 10"), PRECHELT),
        settings={"patience": 0, "min_delta": 0.0, "mode": "min"},
        conventions=(WAITS, REFERENCE_VALUE),
    ),
)
