"""What every network must satisfy: its structure is that of the declaration, root causes first."""

from typing import Any

from dlcheck.component import Case, Check, Component

_IMAGES: dict[str, list[list[int]]] = {
    "lenet5": [[1, 32, 32], [1, 28, 28]],
    "alexnet": [[3, 224, 224], [3, 227, 227]],
    "nin": [[3, 32, 32], [3, 224, 224]],
    "inception_v3": [[3, 299, 299]],
    "inception_v4": [[3, 299, 299]],
}
"""The shapes of images that a network may be made for, where not 3 x 224 x 224."""

_SAYS = {
    "size": "its layers learn as many numbers as they should",
    "output": "it gives one number for each class, and no further layer follows",
    "heads": "auxiliary classifiers leave the network where they should",
    "layers": "it has as many convolutions and dense layers as it should",
    "convolutions": "each convolution has its place, channels, kernel, stride, padding and groups",
    "dense": "each dense layer has its place and its features",
    "connections": "maps that see only some maps see the right ones",
    "pooling": "each pool has its place, kind, kernel, stride and padding",
    "normalization": "each normalisation has its place and channels",
    "activations": "each activation has its place and kind",
    "joins": "branches are added or joined where they should be, and all of them",
    "dropout": "dropout stands where it should in training, with the share it should",
    "biases": "each layer has a bias where it should",
    "evaluation": "in evaluation nothing is dropped, and activations are those of training",
    "parameters": "it holds the parameters that its layers use, and no others, and all of them learn",
    "flow": "gradients reach every layer; examples meet in batch normalisation only, which is as it should be",
    "wiring": "every layer is fed by the right one",
}


def checks(component: Component) -> tuple[Check, ...]:
    """The aspects of a network, each compared with the declaration's; the number of classes is tried twice."""
    classes = component.settings["num_classes"]
    own = {"output": (classes, 7)}

    def case(aspect: str, num_classes: int) -> Case:
        images: Any = _IMAGES.get(component.name, [[3, 224, 224]])
        return Case(aspect, {"images": images}, {"num_classes": num_classes}, exact=True)

    return tuple(
        Check(f"models.{component.name}.{aspect}", says, tuple(case(aspect, n) for n in own.get(aspect, (classes,))))
        for aspect, says in _SAYS.items()
        if aspect != "connections" or component.name == "lenet5"
    )
