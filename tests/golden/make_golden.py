#!/usr/bin/env python3
"""Makes the golden references tests/golden/*.json: 10 SGD steps of two nets in PyTorch.

Run by hand (Debian: python3-torch); the results are committed:

    python3 tests/golden/make_golden.py                # writes both files
    python3 tests/golden/make_golden.py --search 2000  # looks for salts far from every threshold

Weights, images and labels come from an integer hash, so that any program can make the same ones; every value is
exact in float32. All arithmetic of the hash is modulo 2^32:

    hash(stream, i):  x = i * 0x9E3779B1 + stream * 0x85EBCA77
                      x ^= x >> 16;  x *= 0x85EBCA6B;  x ^= x >> 13;  x *= 0xC2B2AE35;  x ^= x >> 16
    value(stream, i) = (2 (hash >> 16) - 65535) / 65536      in (-1, 1), an odd multiple of 2^-16, never 0

With `salt` from the JSON, p a parameter's index in its list `parameters`, and i a flat row-major index:

    parameter p, element i     offset_p + scale_p * value(salt + p, i)    scale_p is a power of two
    label of image n, batch t  hash(salt + 3000 + t, n) mod classes
    pixel i of batch t         (value(salt + 2000 + t, i) + value(salt + 1000 + label, j)) / 2
                               i counts over the batch (N, C, H, W), j over one image (C, H, W)

Step t = 0 .. 9: the loss is the mean cross-entropy of batch t, g its gradient (without weight decay),
v = momentum v + (g + weight_decay u), u = u - learning_rate v. v starts at 0; every parameter decays. Batch norm
normalises by the batch (biased variance, epsilon 1e-5) and keeps running statistics (momentum 0.1, unbiased
variance, starting from 0 and 1). Max pooling sends its gradient to the first maximum in row-major order.

    lenet5    float weights; activations alpha min(ceil(x / alpha), 3) for x > 0, else 0, alpha = float32(0.6511);
              straight-through derivative 1 for 0 < x <= 3 alpha, else 0
    resnet20  base width 8, shortcut a, ReLU, affine batch norm; all convolutions but the stem use sign(u) with
              sign(0) = +1, whose gradient goes to u unchanged; after each step these u are clipped to [-1, 1]

`losses`, `correct`: of each step. `gradients`: g of the first and the last step. `final`: u after the last step.
A tensor is given by its norm and its elements floor(j (n - 1) / 4), j = 0 .. 4. `evaluation`: batch 10 with the
running statistics, after the last step.

The committed numbers are those of float64. A pre-activation, a latent weight or a difference of logits that falls
on different sides of a threshold in float32 and float64 would send the two apart. So the salts are ones where the
closest approach to any threshold, in units of the root mean square difference of the two runs in that channel, is
large: this is `margin`. `float32` tells how far the float32 run is from the float64 run.
"""

import argparse
import json
import pathlib

import numpy
import torch
import torch.nn.functional as functional

STEPS = 10
ELEMENTS = 5
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.05, 0.9, 1e-4
BITS = 2
ALPHA = float(numpy.float32(0.6511))
CLASSES = 10


def hashed(stream, count):
    x = numpy.arange(count, dtype=numpy.uint32) * numpy.uint32(0x9E3779B1)
    x += numpy.uint32(stream * 0x85EBCA77 % 2**32)
    x ^= x >> numpy.uint32(16)
    x *= numpy.uint32(0x85EBCA6B)
    x ^= x >> numpy.uint32(13)
    x *= numpy.uint32(0xC2B2AE35)
    return x ^ (x >> numpy.uint32(16))


def value(stream, count):
    return (2.0 * (hashed(stream, count) >> numpy.uint32(16)) - 65535) / 65536


class QuantizedRelu(torch.autograd.Function):
    """2-bit ceil quantizer with the clipped-ReLU straight-through derivative."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        top = 2**BITS - 1
        return ALPHA * torch.clamp(torch.ceil(x / ALPHA), 0, top)

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * ((x > 0) & (x <= (2**BITS - 1) * ALPHA)).to(gradient.dtype)


class Sign(torch.autograd.Function):
    """sign(u) with sign(0) = +1, gradient passed straight through."""

    @staticmethod
    def forward(ctx, u):
        return torch.where(u < 0, -torch.ones_like(u), torch.ones_like(u))

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class Net:
    """Parameters in layer order, running statistics, and every value that a threshold cuts."""

    def __init__(self, salt, dtype):
        self.salt, self.dtype = salt, dtype
        self.parameters, self.running, self.seen = [], {}, []

    def parameter(self, name, shape, scale, offset=0.0, binary=False):
        index, count = len(self.parameters), int(numpy.prod(shape))
        values = (offset + scale * value(self.salt + index, count)).reshape(shape)
        tensor = torch.tensor(values, dtype=self.dtype, requires_grad=True)
        fields = {"name": name, "shape": list(shape), "offset": offset, "scale": scale, "binary": binary}
        self.parameters.append({**fields, "tensor": tensor})

    def weight(self, name, shape, binary=False):
        fan_in = int(numpy.prod(shape[1:]))
        self.parameter(name + ".weight", shape, 2.0 ** round(numpy.log2((6 / fan_in) ** 0.5)), binary=binary)

    def get(self, name):
        found = next(p for p in self.parameters if p["name"] == name)
        if not found["binary"]:
            return found["tensor"]
        self.see(found["tensor"], [0.0])
        return Sign.apply(found["tensor"])

    def batch_norm(self, name, x, training, affine):
        channels = x.shape[1]
        mean, variance = self.running.setdefault(
            name, (torch.zeros(channels, dtype=self.dtype), torch.ones(channels, dtype=self.dtype))
        )
        gamma, beta = (self.get(name + ".gamma"), self.get(name + ".beta")) if affine else (None, None)
        return functional.batch_norm(x, mean, variance, gamma, beta, training, momentum=0.1, eps=1e-5)

    def linear(self, name, x):
        return functional.linear(x, self.get(name + ".weight"), self.get(name + ".bias"))

    def see(self, x, thresholds):
        self.seen.append((x.detach().double().clone(), thresholds))


class Lenet5(Net):
    spec = {"name": "lenet5", "width": "small"}
    input, batch = (1, 28, 28), 20

    def __init__(self, salt, dtype):
        super().__init__(salt, dtype)
        shapes = {"conv1": (6, 1, 5, 5), "conv2": (16, 6, 5, 5)}
        shapes |= {"fc1": (120, 400), "fc2": (84, 120), "fc3": (CLASSES, 84)}
        for name, shape in shapes.items():
            self.weight(name, shape)
            self.parameter(name + ".bias", shape[:1], 2.0**-2)

    def activate(self, name, x, training):
        x = self.batch_norm(name, x, training, affine=False)
        self.see(x, [level * ALPHA for level in range(2**BITS)])
        return QuantizedRelu.apply(x)

    def forward(self, x, training):
        x = functional.conv2d(x, self.get("conv1.weight"), self.get("conv1.bias"), padding=2)
        x = functional.max_pool2d(self.activate("bn1", x, training), 2)
        x = functional.conv2d(x, self.get("conv2.weight"), self.get("conv2.bias"))
        x = functional.max_pool2d(self.activate("bn2", x, training), 2).flatten(1)
        x = self.activate("bn3", self.linear("fc1", x), training)
        x = self.activate("bn4", self.linear("fc2", x), training)
        return self.linear("fc3", x)


class Resnet20(Net):
    spec = {"name": "resnet20", "width": 8, "shortcut": "a", "batch_norm_affine": True}
    input, batch = (3, 12, 12), 12
    blocks = [(stage, block) for stage in (1, 2, 3) for block in (1, 2, 3)]

    def __init__(self, salt, dtype):
        super().__init__(salt, dtype)
        self.convolution_and_norm("stem.conv", "stem.bn", (8, 3, 3, 3), False)
        channels = 8
        for stage, block in self.blocks:
            prefix, width = f"stage{stage}.block{block}.", 8 * 2 ** (stage - 1)
            self.convolution_and_norm(prefix + "conv1", prefix + "bn1", (width, channels, 3, 3), True)
            self.convolution_and_norm(prefix + "conv2", prefix + "bn2", (width, width, 3, 3), True)
            channels = width
        self.weight("fc", (CLASSES, channels))
        self.parameter("fc.bias", (CLASSES,), 2.0**-4)

    def convolution_and_norm(self, convolution, norm, shape, binary):
        self.weight(convolution, shape, binary)
        self.parameter(norm + ".gamma", shape[:1], 2.0**-2, offset=1.0)
        self.parameter(norm + ".beta", shape[:1], 2.0**-2)

    def relu(self, x):
        self.see(x, [0.0])
        return functional.relu(x)

    def forward(self, x, training):
        x = functional.conv2d(x, self.get("stem.conv.weight"), padding=1)
        x = self.relu(self.batch_norm("stem.bn", x, training, True))
        for stage, block in self.blocks:
            prefix, stride = f"stage{stage}.block{block}.", 2 if stage > 1 and block == 1 else 1
            y = functional.conv2d(x, self.get(prefix + "conv1.weight"), stride=stride, padding=1)
            y = self.relu(self.batch_norm(prefix + "bn1", y, training, True))
            y = functional.conv2d(y, self.get(prefix + "conv2.weight"), padding=1)
            y = self.batch_norm(prefix + "bn2", y, training, True)
            if stride == 2:
                x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
            x = self.relu(y + x)
        x = x.mean(dim=(2, 3))
        return self.linear("fc", x)


def make_batch(net, step):
    labels = hashed(net.salt + 3000 + step, net.batch) % numpy.uint32(CLASSES)
    size = int(numpy.prod(net.input))
    noise = value(net.salt + 2000 + step, net.batch * size).reshape(net.batch, size)
    pattern = numpy.stack([value(net.salt + 1000 + int(label), size) for label in labels])
    images = ((noise + pattern) / 2).reshape(net.batch, *net.input)
    return torch.tensor(images, dtype=net.dtype), torch.tensor(labels.astype(numpy.int64))


def summarize(net, tensors):
    rows = []
    for parameter, tensor in zip(net.parameters, tensors):
        flat = tensor.detach().double().flatten()
        places = [j * (len(flat) - 1) // (ELEMENTS - 1) for j in range(ELEMENTS)]
        rows.append({"name": parameter["name"], "norm": flat.norm().item(), "elements": flat[places].tolist()})
    return rows


class Run:
    """One training run and all that is recorded of it."""

    def __init__(self, net):
        self.net = net
        self.tensors = [p["tensor"] for p in net.parameters]
        self.velocity = [torch.zeros_like(t) for t in self.tensors]
        self.result = {"losses": [], "correct": [], "gradients": {}}

    def evaluate(self, step, training):
        images, labels = make_batch(self.net, step)
        logits = self.net.forward(images, training)
        best = logits.detach().topk(2).values
        self.net.see(best[:, :1] - best[:, 1:], [0.0])
        return functional.cross_entropy(logits, labels), int((logits.argmax(1) == labels).sum())

    def step(self, step):
        loss, correct = self.evaluate(step, training=True)
        gradients = torch.autograd.grad(loss, self.tensors)
        self.result["losses"].append(loss.item())
        self.result["correct"].append(correct)
        if step in (0, STEPS - 1):
            self.result["gradients"][str(step)] = summarize(self.net, gradients)
        with torch.no_grad():
            for parameter, v, g in zip(self.net.parameters, self.velocity, gradients):
                u = parameter["tensor"]
                v.mul_(MOMENTUM).add_(g + WEIGHT_DECAY * u)
                u.sub_(LEARNING_RATE * v)
                if parameter["binary"]:
                    u.clamp_(-1, 1)

    def finish(self):
        self.result["final"] = summarize(self.net, self.tensors)
        loss, correct = self.evaluate(STEPS, training=False)
        self.result["evaluation"] = {"loss": loss.item(), "correct": correct}


def closest(exact, single):
    """Least distance to a threshold over all values seen, in units of the rounding noise of its channel."""
    margin = float("inf")
    for (x, thresholds), (y, _) in zip(exact.net.seen, single.net.seen):
        noise = (x - y).pow(2).mean(dim=[d for d in range(x.dim()) if d != 1], keepdim=True).sqrt()
        for threshold in thresholds:
            margin = min(margin, ((x - threshold).abs() / (noise + 1e-9)).min().item())
    exact.net.seen.clear()
    single.net.seen.clear()
    return margin


def train(kind, salt, patience):
    """The float64 and the float32 run side by side, and the margin; None once that is below `patience`."""
    exact, single = (Run(kind(salt, dtype)) for dtype in (torch.float64, torch.float32))
    margin = float("inf")
    for step in range(STEPS + 1):
        for run in (exact, single):
            run.step(step) if step < STEPS else run.finish()
        margin = min(margin, closest(exact, single))
        if margin < patience:
            return None
    return exact, single, margin


def deviation(net, rows, others):
    """Largest difference of norms relative to the norm, and of elements relative to the root mean square.

    Left out are gradients that are zero but for rounding: those of biases before batch norm.
    """
    worst = 0.0
    for parameter, row, other in zip(net.parameters, rows, others):
        if row["norm"] < 1e-9:
            continue
        size = numpy.prod(parameter["shape"]) ** 0.5
        elements = [abs(a - b) * size for a, b in zip(row["elements"], other["elements"])]
        worst = max(worst, max(elements + [abs(row["norm"] - other["norm"])]) / row["norm"])
    return worst


def compare(net, exact, single):
    assert exact["correct"] == single["correct"]
    assert exact["evaluation"]["correct"] == single["evaluation"]["correct"]
    last = str(STEPS - 1)
    return {
        "losses": max(abs(a - b) / a for a, b in zip(exact["losses"], single["losses"])),
        "gradients_first": deviation(net, exact["gradients"]["0"], single["gradients"]["0"]),
        "gradients_last": deviation(net, exact["gradients"][last], single["gradients"][last]),
        "final": deviation(net, exact["final"], single["final"]),
        "evaluation": abs(single["evaluation"]["loss"] / exact["evaluation"]["loss"] - 1),
    }


def describe(kind, salt):
    exact, single, margin = train(kind, salt, 0.0)
    shown = ("name", "shape", "offset", "scale", "binary")
    return {
        "model": kind.spec,
        "input": list(kind.input),
        "classes": CLASSES,
        "batch": kind.batch,
        "steps": STEPS,
        "salt": salt,
        "learning_rate": LEARNING_RATE,
        "momentum": MOMENTUM,
        "weight_decay": WEIGHT_DECAY,
        "parameters": [{key: parameter[key] for key in shown} for parameter in exact.net.parameters],
        **exact.result,
        "margin": margin,
        "float32": compare(exact.net, exact.result, single.result),
    }


def rows_text(rows, indent):
    return "[\n" + ",\n".join(" " * (indent + 2) + json.dumps(row) for row in rows) + "\n" + " " * indent + "]"


def write(document, path):
    """JSON with one line for each entry of a list of mappings."""
    lines = []
    for key, entry in document.items():
        if key == "gradients":
            steps = [f'    "{step}": {rows_text(rows, 4)}' for step, rows in entry.items()]
            text = "{\n" + ",\n".join(steps) + "\n  }"
        elif key in ("parameters", "final"):
            text = rows_text(entry, 2)
        else:
            text = json.dumps(entry)
        lines.append(f'  "{key}": {text}')
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


NETS = {"lenet5": (Lenet5, 6720000), "resnet20": (Resnet20, 7470000)}


def search(kind, count):
    """Prints each salt whose margin is the largest so far."""
    patience = 0.0
    for salt in range(10000, 10000 * (count + 1), 10000):
        found = train(kind, salt, patience)
        if found is not None:
            patience = found[2]
            print(kind.spec["name"], salt, f"margin {patience:.3g}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nets", nargs="*", default=list(NETS), help="lenet5, resnet20; both when left out")
    parser.add_argument("--search", type=int, metavar="N", help="try N salts instead of writing the files")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.nets:
        kind, salt = NETS[name]
        if arguments.search:
            search(kind, arguments.search)
            continue
        document = describe(kind, salt)
        write(document, pathlib.Path(__file__).with_name(name + ".json"))
        print(name, "margin", document["margin"], "float32", document["float32"])


if __name__ == "__main__":
    main()
