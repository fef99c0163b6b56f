"""Known mistakes in networks: those that any of them may have, and those of each kind."""

from dlcheck.component import Fault
from dlcheck.models import mistakes as m
from dlcheck.models.classic_faults import CLASSIC
from dlcheck.models.declaration import Activation
from dlcheck.models.inception_faults import INCEPTION
from dlcheck.models.mistakes import (
    DEAD,
    FLAT,
    NOISY,
    OVERFITS,
    STUCK,
    UNSTABLE,
    UNTRAINED,
    WEIGHTS,
    WORSE,
    each,
    edit,
    ended,
    faults,
    flowing,
    held,
    settings,
    with_fields,
)
from dlcheck.models.residual_faults import RESIDUAL
from dlcheck.models.spec import COMPONENTS

_ALL = tuple(component.name for component in COMPONENTS)
_ALWAYS_DROPPING = ("alexnet", "vgg11", "vgg13", "vgg16", "vgg19", "nin", "googlenet", "inception_v4")
_DROPPING = (*_ALWAYS_DROPPING, "inception_v3")
_BIASED = ("lenet5", "alexnet", "vgg11", "vgg13", "vgg16", "vgg19", "nin", "googlenet")
_NORMALIZED = ("inception_v2", "inception_v3", "inception_v4", "resnet18", "resnet34", "resnet50", "resnet101",
               "resnet152")  # fmt: skip
_HALVED = ("alexnet", "vgg11", "vgg13", "vgg16", "vgg19", "nin")
_SPARING = ("googlenet", "inception_v4")
_SHARE = "the share of the paper; p is what is dropped, not what is kept"
_DENSE = tuple(name for name in _ALL if name != "nin")


def _one_more(component: str) -> m.Declare:
    declare = settings(component)
    return lambda num_classes=1000, **given: declare(num_classes=num_classes + 1, **given)


_COMMON = (
    *faults(_ALL, "softmax-left", "softmax is left in the output", FLAT, "give the scores as they are",
            ended(Activation("softmax"))),
    *faults(_ALL, "classes-ignored", "num_classes is ignored", WEIGHTS, "the last layer has num_classes outputs",
            lambda c: settings(c, num_classes=1000 if c != "lenet5" else 10)),
    *faults(_ALL, "one-class-more", "there is one output too many", WEIGHTS, "the last layer has num_classes outputs",
            _one_more),
    *faults(_ALL, "parameters-shared", "layers share parameters that should be their own", STUCK,
            "make each layer anew: [Unit() for _ in range(n)], not [Unit()] * n", held("shared")),
    *faults(_ALL, "parameters-idle", "it holds parameters that no layer uses", DEAD,
            "leave out what forward does not use", held("idle")),
    *faults(_ALL, "stand-in", "one layer stands in for another, which is held in vain", DEAD,
            "bn2(conv2(x)), not bn1(conv2(x))", held("shared", "idle")),
    *faults(_ALL, "unregistered", "layers are in a list that is no ModuleList", DEAD,
            "nn.ModuleList([...]): a Python list registers no parameters", held("unregistered")),
    *faults(_ALL, "frozen", "some layers are made frozen", UNTRAINED, "leave requires_grad on", held("frozen")),
    *faults(_ALL, "zeros", "layers that follow each other start at zero", UNTRAINED,
            "draw the weights: symmetric layers get no gradient", held("zeros")),
    *faults(_ALL, "stopped", "a gradient ends on its way: detach or no_grad", UNTRAINED,
            "leave detach, .data and no_grad out of forward", flowing("stopped")),
    *faults(_ALL, "mixed", "the examples of a batch meet in one row", NOISY,
            "x.flatten(1): the batch stays in front", flowing("mixed")),
    *faults(_NORMALIZED, "untracked", "evaluation normalises by the batch", NOISY,
            "track_running_stats=True, and training=self.training", flowing("untracked")),
    *faults(_NORMALIZED, "unbatched", "training normalises by running statistics", UNSTABLE,
            "train() leaves batch normalisation in training", flowing("unbatched")),
    *faults(_NORMALIZED, "forgetful", "momentum is given as the share that is kept", WORSE,
            "momentum=0.1: in torch the share of the new batch", flowing("forgetful")),
    *faults(_NORMALIZED, "not-affine", "batch normalisation learns no scale and no shift", WORSE, "affine=True",
            edit(each(m.norm, with_fields(scale=False, shift=False)))),
    *faults(_HALVED, "dropout-tenth", "dropout drops a tenth", OVERFITS, _SHARE,
            edit(each(m.dropout, with_fields(p=0.1)))),
    *faults(_HALVED, "dropout-fifth", "dropout drops a fifth", OVERFITS, _SHARE,
            edit(each(m.dropout, with_fields(p=0.2)))),
    *faults(_SPARING, "dropout-half", "the last dropout drops half", WORSE, _SHARE,
            edit(each(m.dropout, with_fields(p=0.5), -1))),
    *faults((*_SPARING, "inception_v3"), "dropout-kept", "the last dropout drops the share to keep", WORSE, _SHARE,
            edit(each(m.dropout, with_fields(p=0.8), -1))),
    *faults(_ALL, "leaky-relu", "ReLU leaks below zero", WEIGHTS, "max(x, 0)",
            edit(each(m.relu, with_fields(kind="leaky_relu")))),
    *faults(_BIASED, "no-biases", "convolutions have no bias", WEIGHTS, "bias=True without batch normalisation",
            edit(each(m.conv, with_fields(bias=False)))),
    *faults(_DENSE, "last-bias", "the last layer has no bias", WEIGHTS, "bias=True in the last layer",
            edit(each(m.linear, with_fields(bias=False), -1))),
    *faults(_ALWAYS_DROPPING, "no-dropout", "dropout is missing", OVERFITS, "dropout as in the table",
            edit(each(m.dropout, m.nowhere))),
    *faults(_DROPPING, "dropout-always", "dropout goes on in evaluation", NOISY,
            "dropout(x, p, training=self.training)",
            edit(each(m.dropout, with_fields(always=True)))),
)  # fmt: skip


def _of(component: str) -> tuple[Fault, ...]:
    return tuple(f for f in (*CLASSIC, *INCEPTION, *RESIDUAL, *_COMMON) if f.component == component)


FAULTS = tuple(fault for name in _ALL for fault in _of(name))
