"""Somebody's sigmoids, none of which may harm the tool that judges them."""

import ctypes
import gc
import operator
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection

import numpy as np
import torch

from dlcheck.conformance import wire


def right(x):
    return 1 / (1 + torch.exp(-x)) if x.requires_grad is False else torch.sigmoid(x)


def raises(x):
    raise RuntimeError("no kernel\nfor you")


def loops(x):
    while True:
        time.sleep(0.01)


def leaves(x):
    os._exit(0)


def crashes(x):
    ctypes.string_at(0)


def hoards(x):
    return torch.ones(1 << 40, dtype=torch.float64)


def prints_and_reads(x):
    print("looking at", tuple(x.shape))
    try:
        input()
    except EOFError:
        pass
    return torch.sigmoid(x)


def spoils(x):
    with torch.no_grad():
        out = torch.sigmoid(x)
        x.zero_()
    return out


def echoes(x):
    return x


def zeros(x):
    return torch.zeros_like(x) * x


def nans(x):
    return x * float("nan")


def text(x):
    return "sigmoid"


def integers(x):
    return (x > 0).long()


def rows(x):
    return torch.sigmoid(x)[..., None]


def single(x):
    return torch.sigmoid(x).float()


def noisy(x):
    return torch.sigmoid(x) * (1 + 1e-6 * torch.randn_like(x))


def disarms_comparisons(x):
    np.abs = lambda *_, **__: np.zeros(1)
    np.array_equal = torch.equal = torch.allclose = lambda *_, **__: True
    return torch.zeros_like(x) * x


CALLS = []


def first_call_of(what):
    CALLS.append(what)
    return CALLS.count(what) == 1


def interrupts(x):
    raise KeyboardInterrupt


def exits(x):
    sys.exit("enough")


def recurses(x):
    return recurses(x)


class Speechless(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def raises_speechlessly(x):
    raise Speechless


def hoards_slowly(x):
    kept = []
    while True:
        kept.append(np.empty(1 << 26))


def listed(x):
    return [torch.sigmoid(x)]


def nothing(x):
    torch.sigmoid(x)


def elsewhere(x):
    return torch.empty_like(x, device="meta")


def constant(x):
    return torch.full_like(x, 0.7) + 0 * x


def gives_away_gradients(x):
    x.grad = torch.ones_like(x)
    return torch.sigmoid(x)


def kills_its_parent(x):
    os.kill(os.getppid(), 9)
    return torch.sigmoid(x)


def closes_files(x):
    os.closerange(3, 256)
    return torch.sigmoid(x)


def scribbles(x):
    for file in range(3, 64):
        with suppress(OSError):
            os.write(file, b"anything at all")
    return torch.sigmoid(x)


def forges(x):
    """Answers where it was not asked, in the form of an answer."""
    for file in range(3, 64):
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(file).st_mode):
                Connection(os.dup(file)).send_bytes(wire.encode({"values": {"out": 0}, "facts": {}, "lacks": []}))
    return torch.sigmoid(x)


def sets_traps(x):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    gc.disable()
    operator.itemgetter = None
    return torch.sigmoid(x)


def shouts(x):
    raise ValueError("\x1b[31m" + "z" * 50_000_000 + "\udcff")


def leaves_others_behind(x):
    if first_call_of("others"):
        subprocess.Popen(["sleep", "31.4159"])
        threading.Thread(target=time.sleep, args=(31,)).start()
        os.fork()
    return torch.sigmoid(x)


def fills_the_output(x):
    for _ in range(100 if first_call_of("output") else 0):
        sys.stdout.write("x" * 1_000_000)
    return torch.sigmoid(x)


def right_at_first(x):
    return torch.sigmoid(x) if first_call_of("anything") else torch.tanh(x)


def right_once(x):
    return torch.sigmoid(x) if first_call_of(x.detach().double().numpy().tobytes()) else torch.tanh(x)


class RightOnce(torch.nn.Module):
    called = False

    def forward(self, x):
        right, self.called = not self.called, True
        return torch.sigmoid(x) if right else torch.tanh(x)


class NumpyRightOnce:
    called = False

    def forward(self, x):
        right, self.called = not self.called, True
        return NumpySigmoid().forward(x) if right else np.tanh(x)

    def backward(self, grad_output):
        raise NotImplementedError("values only")


BUFFERS = {}


def reuses_its_output(x):
    with torch.no_grad():
        buffer = BUFFERS.setdefault((x.shape, x.dtype), torch.empty_like(x))
        return buffer.copy_(torch.sigmoid(x))


KEPT = []


def keeps_its_input(x):
    out = torch.sigmoid(x)
    with torch.no_grad():
        for kept in KEPT:
            kept.zero_()
    KEPT[:] = [x]
    return out


def unsettles(x):
    torch.set_default_dtype(torch.float16)
    torch.allclose = lambda *_, **__: True
    return torch.sigmoid(x)


def draws(x):
    return torch.sigmoid(x) + 0 * (torch.rand(()).item() + np.random.rand() + random.random())  # noqa: NPY002


def scaled(x):
    return torch.sigmoid(x) * float(os.environ.get("STRANGE_SCALE", 0))


class _Stumbling(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return torch.sigmoid(x)

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0]


def stumbles(x):
    return _Stumbling.apply(x)


class NeedsArguments(torch.nn.Module):
    def __init__(self, width, depth):
        super().__init__()


class NumpySigmoid:
    def forward(self, x):
        self.y = 1 / (1 + np.exp(-np.abs(x)))
        self.y = np.where(x >= 0, self.y, 1 - self.y) if np.abs(x).max() < 30 else _stable(x)
        return self.y

    def backward(self, grad_output):
        return grad_output * self.y * (1 - self.y)


def _stable(x):
    with np.errstate(over="ignore"):
        return np.where(x >= 0, 1 / (1 + np.exp(-x)), np.exp(x) / (1 + np.exp(x)))


NOT_CALLABLE = 7
