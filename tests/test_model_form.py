"""How strangers' networks are judged: what is written in other ways conforms, what is wrong is named."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dlcheck import registry
from dlcheck.conformance import targets
from dlcheck.conformance.check import judge
from dlcheck.conformance.implementation import Refused
from dlcheck.models.networks import LENET_TABLE


class LeNet(nn.Module):
    """LeNet-5 as in many tutorials: functions where torch has modules, ReLU behind the pool."""

    def __init__(self, num_classes=10):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, num_classes)

    def features(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        return F.max_pool2d(F.relu(self.conv2(x)), (2, 2))

    def forward(self, x):
        x = self.features(x).view(-1, 400)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class ConvolutionalLeNet(LeNet):
    """Its dense layers are convolutions over all of a small image."""

    def __init__(self, num_classes=10):
        super().__init__(num_classes)
        self.fc1, self.fc2, self.fc3 = nn.Conv2d(16, 120, 5), nn.Conv2d(120, 84, 1), nn.Conv2d(84, num_classes, 1)

    def forward(self, x):
        x = self.fc2(self.fc1(self.features(x)).clamp(min=0))
        return self.fc3(x * (x > 0)).flatten(1)


class ClippedLeNet(LeNet):
    """ReLU as its formula, and an in-place one behind a view."""

    def features(self, x):
        x = torch.maximum(self.conv1(x), torch.zeros(()))
        x = self.conv2(F.max_pool2d(x, 2))
        x.view(len(x), -1).relu_()
        return F.max_pool2d(x, 2)


class TabledLeNet(LeNet):
    """A convolution of its own for every map of C3."""

    def __init__(self, num_classes=10):
        super().__init__(num_classes)
        self.conv2 = nn.ModuleList(nn.Conv2d(len(seen), 1, 5) for seen in LENET_TABLE)

    def features(self, x):
        x = F.max_pool2d(self.conv1(x).relu(), 2)
        maps = [conv(x[:, list(seen)]).relu() for conv, seen in zip(self.conv2, LENET_TABLE, strict=True)]
        return F.max_pool2d(torch.cat(maps, 1), 2)


class TurnedLeNet(TabledLeNet):
    """The maps that C3 sees are taken in other orders: weights are learned, so it is the same network."""

    def features(self, x):
        x = F.max_pool2d(self.conv1(x).relu(), 2)
        seen = [list(seen[2:] + seen[:2]) for seen in LENET_TABLE]
        maps = [conv(x[:, channels]).relu() for conv, channels in zip(self.conv2, seen, strict=True)]
        return F.max_pool2d(torch.cat(maps, 1), 2)


class CaffeLeNet(nn.Sequential):
    """Wider, with one ReLU."""

    def __init__(self, num_classes=10):
        dense = nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, num_classes)
        pool = nn.MaxPool2d(2)
        super().__init__(nn.Conv2d(1, 20, 5), pool, nn.Conv2d(20, 50, 5), pool, nn.Flatten(), *dense)


class ReLU(torch.autograd.Function):
    """Works out its numbers without gradients, and gives its own."""

    @staticmethod
    def forward(ctx, x):
        keep = x > 0
        ctx.save_for_backward(keep)
        return x * keep

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0]


class OwnGradientLeNet(LeNet):
    """A function of its own, and a mask from what is detached."""

    def features(self, x):
        x = F.max_pool2d(ReLU.apply(self.conv1(x)), 2)
        x = self.conv2(x)
        return F.max_pool2d(x * (x.detach() > 0), 2)


class MaskedLeNet(LeNet):
    """One convolution whose mask leaves the connections of the table."""

    def __init__(self, num_classes=10):
        super().__init__(num_classes)
        mask = torch.zeros(16, 6, 1, 1)
        for output, seen in enumerate(LENET_TABLE):
            mask[output, list(seen)] = 1
        self.register_buffer("mask", mask)

    def features(self, x):
        x = F.max_pool2d(self.conv1(x).relu(), 2)
        return F.max_pool2d(F.conv2d(x, self.conv2.weight * self.mask, self.conv2.bias).relu(), 2)


class AlexNet(nn.Module):
    """Two towers that meet in conv3 and in the dense layers, each with its own convolutions."""

    def __init__(self, num_classes=1000):
        super().__init__()
        widths = ((3, 48, 11, 4, 0), (48, 128, 5, 1, 2), (256, 192, 3, 1, 1), (192, 192, 3, 1, 1), (192, 128, 3, 1, 1))
        self.towers = nn.ModuleList(nn.ModuleList(nn.Conv2d(*width) for width in widths) for _ in range(2))
        self.fc6, self.fc7, self.fc8 = nn.Linear(9216, 4096), nn.Linear(4096, 4096), nn.Linear(4096, num_classes)

    def normalized(self, x):
        squares = F.avg_pool3d(x.pow(2).unsqueeze(1), (5, 1, 1), 1, (2, 0, 0)).squeeze(1)
        return F.max_pool2d(x / (2 + 5e-4 * squares) ** 0.75, 3, 2)

    def halves(self, images, first, last):
        for index in range(first, last):
            images = [tower[index](x).relu() for tower, x in zip(self.towers, images, strict=True)]
            images = [self.normalized(x) for x in images] if index < 2 else images
        return images

    def forward(self, x):
        x = torch.cat(self.halves([x, x], 0, 2), 1)
        x = torch.cat([F.max_pool2d(half, 3, 2) for half in self.halves([x, x], 2, 5)], 1).flatten(1)
        x = F.relu(F.dropout(self.fc6(x), training=self.training))
        return self.fc8(F.dropout(F.relu(self.fc7(x)), training=self.training))


class Unit(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after)
        self.conv2, self.bn2 = nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after)
        fits = before == after and stride == 1
        project = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        self.shortcut = nn.Identity() if fits else project

    def branch(self, x):
        return self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))

    def forward(self, x):
        y = self.branch(x)
        y += self.shortcut(x)
        return F.relu_(y)


class ResNet18(nn.Module):
    unit = Unit

    def __init__(self, num_classes=1000):
        super().__init__()
        widths = (64, 64, 64, 128, 128, 256, 256, 512, 512)
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(True))
        steps = zip(widths, widths[1:], (1, 1, 2, 1, 2, 1, 2, 1), strict=False)
        self.units = nn.Sequential(*(self.unit(*step) for step in steps))
        self.fc = nn.Linear(512, num_classes)

    def forward(self, x):
        x = self.units(F.max_pool2d(self.stem(x), 3, 2, 1))
        return self.fc(x.mean(dim=(2, 3)))


class AppendedZeros(Unit):
    """Every second number of x, and zeros of its kind."""

    def __init__(self, before, after, stride):
        super().__init__(before, after, stride)
        self.shortcut, self.stride, self.more = None, stride, after - before

    def forward(self, x):
        fewer = F.avg_pool2d(x, 1, self.stride)
        zeros = fewer.new_zeros(len(x), self.more, *fewer.shape[2:])
        return F.relu(self.branch(x) + torch.cat([fewer, zeros], 1))


class Unprojected(ResNet18):
    unit = AppendedZeros


class LastUnits(ResNet18):
    """Bottlenecks whose strides stand in the last unit of a stage, as in TF-slim."""

    def __init__(self, num_classes=1000):
        super().__init__(num_classes)
        units, before = [], 64
        for width, count in zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True):
            for index in range(count):
                units.append(Bottleneck(before, width, 2 if index == count - 1 and width < 512 else 1))
                before = 4 * width
        self.units, self.fc = nn.Sequential(*units), nn.Linear(2048, num_classes)


class Bottleneck(nn.Module):
    def __init__(self, before, width, stride):
        super().__init__()
        convolutions = (nn.Conv2d(before, width, 1, bias=False), nn.Conv2d(width, width, 3, stride, 1, bias=False),
                        nn.Conv2d(width, 4 * width, 1, bias=False))  # fmt: skip
        norms = [nn.BatchNorm2d(conv.out_channels) for conv in convolutions]
        pairs = [part for pair in zip(convolutions, norms, strict=True) for part in (*pair, nn.ReLU())]
        self.branch = nn.Sequential(*pairs[:-1])
        project = nn.Sequential(nn.Conv2d(before, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width))
        self.shortcut = nn.MaxPool2d(1, stride) if before == 4 * width else project

    def forward(self, x):
        return F.relu(self.branch(x) + self.shortcut(x))


class ZeroStart(ResNet18):
    """Each residual branch gives zero at first, and so does the last layer."""

    def __init__(self, num_classes=1000):
        super().__init__(num_classes)
        for unit in self.units:
            nn.init.zeros_(unit.conv2.weight)
            nn.init.zeros_(unit.bn2.weight)
        nn.init.zeros_(self.fc.weight)


class TwiceUnit(Unit):
    def forward(self, x):
        shortcut = self.shortcut(x)
        return F.relu(shortcut + (self.branch(x) + shortcut))


class OverwritingUnit(Unit):
    """ReLU in place on what the shortcut still needs."""

    def branch(self, x):
        return self.bn2(self.conv2(F.relu_(self.bn1(self.conv1(F.relu_(x))))))

    def forward(self, x):
        return self.branch(x) + self.shortcut(x)


class Twice(ResNet18):
    unit = TwiceUnit


class Overwriting(ResNet18):
    unit = OverwritingUnit


class Normalizing(ResNet18):
    """Brings colours to a mean and a deviation by itself, and asks a tensor for a number."""

    def forward(self, x):
        assert x.isfinite().all().item()
        mean, deviation = torch.tensor([0.48, 0.46, 0.41]), torch.tensor([0.23, 0.22, 0.23])
        return super().forward((x - mean.view(3, 1, 1)) / deviation.view(3, 1, 1))


class Softmaxed(LeNet):
    def forward(self, x):
        return super().forward(x).softmax(-1)


class SecondPoolOfFirst(LeNet):
    def __init__(self, num_classes=10):
        super().__init__(num_classes)
        self.fc1 = nn.Linear(6 * 14 * 14, 120)

    def forward(self, x):
        first = F.avg_pool2d(torch.tanh(self.conv1(x)), 2)
        self.conv2(first)
        return self.fc3(torch.tanh(self.fc2(torch.tanh(self.fc1(first.flatten(1))))))


def judged(code, component):
    known = registry.components()[component]
    return judge(known, targets.adapt(known, code), examples=0)


@pytest.mark.parametrize(
    ("code", "component", "conventions"),
    [
        (LeNet, "lenet5", {"activation": "relu", "pooling": "max", "connections": "full"}),
        (ConvolutionalLeNet, "lenet5", {"activation": "relu", "connections": "full"}),
        (ClippedLeNet, "lenet5", {"activation": "relu"}),
        (TabledLeNet, "lenet5", {"connections": "partial"}),
        (TurnedLeNet, "lenet5", {"connections": "partial"}),
        (CaffeLeNet, "lenet5", {"connections": "caffe"}),
        (OwnGradientLeNet, "lenet5", {"activation": "relu"}),
        (MaskedLeNet, "lenet5", {"connections": "partial"}),
        (AlexNet, "alexnet", {"towers": "two_groups", "image": "227", "order": "norm_pool", "dropout": "after"}),
        (ResNet18, "resnet18", {"shortcut": "B", "conv_bias": "none"}),
        (Normalizing, "resnet18", {"shortcut": "B"}),
        (Unprojected, "resnet18", {"shortcut": "A"}),
        (ZeroStart, "resnet18", {"shortcut": "B"}),
        (LastUnits, "resnet50", {"stride": "last_unit", "shortcut": "B"}),
    ],
)
def test_another_way_of_writing_conforms(code, component, conventions):
    report = judged(code, component)
    assert report.conforms, str(report)
    assert conventions.items() <= report.conventions.items()


class Idle(LeNet):
    """A layer that forward forgets."""

    def __init__(self, num_classes=10):
        super().__init__(num_classes)
        self.fc4 = nn.Linear(num_classes, 3)


def shared_units(num_classes=1000):
    """The second unit of the first stage is the first one again."""
    network = ResNet18(num_classes)
    network.units[1] = network.units[0]
    return network


class StandInUnit(Unit):
    """The first normalisation serves twice, the second never: shapes hide it."""

    def branch(self, x):
        return self.bn1(self.conv2(F.relu(self.bn1(self.conv1(x)))))


class StandIn(ResNet18):
    unit = StandInUnit


class Unregistered(LeNet):
    """Dense layers in a list."""

    def __init__(self, num_classes=10):
        super().__init__(num_classes)
        last, self.fc3 = self.fc3, None
        self.last = [last]

    def forward(self, x):
        x = self.features(x).flatten(1)
        return self.last[0](F.relu(self.fc2(F.relu(self.fc1(x)))))


class Frozen(LeNet):
    """The first convolution does not learn."""

    def __init__(self, num_classes=10):
        super().__init__(num_classes)
        self.conv1.requires_grad_(False)


class Leaky(LeNet):
    """ReLU that leaks below zero."""

    def forward(self, x):
        x = F.max_pool2d(F.leaky_relu(self.conv2(F.max_pool2d(F.leaky_relu(self.conv1(x)), 2))), 2).flatten(1)
        return self.fc3(F.leaky_relu(self.fc2(F.leaky_relu(self.fc1(x)))))


class Meeting(LeNet):
    """The batch does not stay in front."""

    def features(self, x):
        return super().features(x).transpose(0, 1).reshape(-1, 400)


class Empty(LeNet):
    """Everything starts at zero."""

    def __init__(self, num_classes=10):
        super().__init__(num_classes)
        for parameter in self.parameters():
            nn.init.constant_(parameter, 0)


class DetachedUnit(Unit):
    def forward(self, x):
        return F.relu(self.branch(x) + self.shortcut(x.detach()))


class Detached(ResNet18):
    unit = DetachedUnit


class Ungraded(ResNet18):
    """The first units work without gradients."""

    def forward(self, x):
        with torch.no_grad():
            x = self.units[:2](F.max_pool2d(self.stem(x), 3, 2, 1))
        return self.fc(self.units[2:](x).mean(dim=(2, 3)))


class Untracked(ResNet18):
    """Batch normalisation keeps no statistics."""

    def __init__(self, num_classes=1000):
        super().__init__(num_classes)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.track_running_stats = False
                module.running_mean = module.running_var = None


class Unbatched(ResNet18):
    """Batch normalisation is never in training."""

    def train(self, mode=True):
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


class Forgetful(ResNet18):
    """Batch normalisation with the momentum of other frameworks."""

    def __init__(self, num_classes=1000):
        super().__init__(num_classes)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.9


class Plain(ResNet18):
    """Batch normalisation learns nothing."""

    def __init__(self, num_classes=1000):
        super().__init__(num_classes)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight = module.bias = None


class LastSum(ResNet18):
    """The last sum has no ReLU."""

    def __init__(self, num_classes=1000):
        super().__init__(num_classes)
        last = self.units[-1]
        last.forward = lambda x: last.branch(x) + x


class Sparing(AlexNet):
    """A tenth is dropped."""

    def forward(self, x):
        x = torch.cat(self.halves([x, x], 0, 2), 1)
        x = torch.cat([F.max_pool2d(half, 3, 2) for half in self.halves([x, x], 2, 5)], 1).flatten(1)
        x = F.dropout(F.relu(self.fc6(x)), 0.1, self.training)
        return self.fc8(F.dropout(F.relu(self.fc7(x)), 0.1, self.training))


class Capped(LeNet):
    """ReLU that ends at 6."""

    def features(self, x):
        return F.max_pool2d(F.relu6(self.conv2(F.max_pool2d(F.relu6(self.conv1(x)), 2))), 2)


@pytest.mark.parametrize(
    ("code", "component", "flag"),
    [
        (Softmaxed, "lenet5", "lenet5-softmax-left"),
        (SecondPoolOfFirst, "lenet5", "lenet-second-pool-fed-from-conv1"),
        (Idle, "lenet5", "lenet5-parameters-idle"),
        (Unregistered, "lenet5", "lenet5-unregistered"),
        (Frozen, "lenet5", "lenet5-frozen"),
        (Leaky, "lenet5", "lenet5-leaky-relu"),
        (Meeting, "lenet5", "lenet5-mixed"),
        (Empty, "lenet5", "lenet5-zeros"),
        (Detached, "resnet18", "resnet18-stopped"),
        (Ungraded, "resnet18", "resnet18-stopped"),
        (Untracked, "resnet18", "resnet18-untracked"),
        (Unbatched, "resnet18", "resnet18-unbatched"),
        (Forgetful, "resnet18", "resnet18-forgetful"),
        (Plain, "resnet18", "resnet18-not-affine"),
        (LastSum, "resnet18", "resnet-inplace-relu-overwrites-identity"),
        (Sparing, "alexnet", "alexnet-dropout-tenth"),
        (shared_units, "resnet18", "resnet18-parameters-shared"),
        (StandIn, "resnet18", "resnet18-stand-in"),
        (Twice, "resnet18", "resnet-shortcut-added-twice"),
        (Overwriting, "resnet18", "resnet-inplace-relu-overwrites-identity"),
    ],
)
def test_a_mistake_is_named(code, component, flag):
    report = judged(code, component)
    assert not report.conforms
    assert report.findings[0].flag == flag


def test_a_made_network_may_be_frozen():
    assert judged(Frozen(), "lenet5").conforms
    assert judged(Unbatched(), "resnet18").conforms


class DroppedMaps(AlexNet):
    """Whole maps are dropped before they are flattened."""

    def forward(self, x):
        x = torch.cat(self.halves([x, x], 0, 2), 1)
        x = torch.cat([F.max_pool2d(half, 3, 2) for half in self.halves([x, x], 2, 5)], 1)
        x = F.relu(self.fc6(F.dropout2d(x, training=self.training).flatten(1)))
        return self.fc8(F.relu(self.fc7(F.dropout(x, training=self.training))))


@pytest.mark.parametrize(
    ("code", "component", "check"),
    [(Capped, "lenet5", "models.lenet5.activations"), (DroppedMaps, "alexnet", "models.alexnet.dropout")],
)
def test_what_looks_alike_on_small_numbers_is_seen(code, component, check):
    failed = {found.check for found in judged(code, component).findings}
    assert check in failed


def test_a_made_module_is_judged_but_for_other_classes():
    report = judged(LeNet(), "lenet5")
    assert report.conforms


def test_what_is_no_module_is_said():
    report = judged(lambda num_classes=10: "a network", "lenet5")
    assert not report.conforms
    assert "it made a str, expected a torch.nn.Module" in report.findings[0].summary
    with pytest.raises(Refused, match=r"a class must be a torch\.nn\.Module"):
        targets.adapt(registry.components()["lenet5"], dict)
