#!/usr/bin/env python3
"""The peer of `make bench`: the same training step in PyTorch on the CPU (Debian: python3-torch).

ResNet-20 with binary weights (a scale for each layer), 4-bit activations and the clipped-ReLU estimator; stem and
classifier in float. Runs plain and channels-last tensors and prints the faster as one JSON line. With --language-model an
LSTM of 512 cells in floats, without a quantizer, on 100 texts of 100 characters.
"""

import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional

ALPHA, LEVELS = 0.1946, 15


class Binarize(torch.autograd.Function):
    @staticmethod
    def forward(_, weight):
        return torch.where(weight < 0, -1.0, 1.0) * weight.abs().mean()

    @staticmethod
    def backward(_, gradient):
        return gradient


class Quantize(torch.autograd.Function):
    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return (x / ALPHA).ceil().clamp(0, LEVELS) * ALPHA

    @staticmethod
    def backward(context, gradient):
        (x,) = context.saved_tensors
        return gradient * ((x > 0) & (x <= ALPHA * LEVELS))


class BinaryConvolution(nn.Conv2d):
    def forward(self, x):
        return functional.conv2d(x, Binarize.apply(self.weight), None, self.stride, self.padding)


class Block(nn.Module):
    def __init__(self, channels_in, channels, stride):
        super().__init__()
        self.stride, self.missing = stride, channels - channels_in
        self.conv1 = BinaryConvolution(channels_in, channels, 3, stride, 1, bias=False)
        self.conv2 = BinaryConvolution(channels, channels, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, x):
        y = self.bn2(self.conv2(Quantize.apply(self.bn1(self.conv1(x)))))
        if self.missing:
            x = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.missing))
        return Quantize.apply(y + x)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.bn = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        shape = [(16, 16, 1)] * 3 + [(16, 32, 2)] + [(32, 32, 1)] * 2 + [(32, 64, 2)] + [(64, 64, 1)] * 2
        self.blocks = nn.Sequential(*(Block(*s) for s in shape))
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        return self.fc(self.blocks(Quantize.apply(self.bn(self.stem(x)))).mean((2, 3)))


def images_per_second(batch, steps, memory_format):
    network = Network().to(memory_format=memory_format)
    images = torch.randn(batch, 3, 32, 32).to(memory_format=memory_format)
    labels = torch.randint(0, 10, (batch,))
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, weight_decay=1e-4)
    seconds = []
    for _ in range(steps + 3):
        start = time.perf_counter()
        optimizer.zero_grad()
        functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    return batch / statistics.median(seconds[3:])


class LanguageModel(nn.Module):
    def __init__(self, tokens, cells):
        super().__init__()
        self.tokens, self.lstm = tokens, nn.LSTM(tokens, cells)
        self.decoder = nn.Linear(cells, tokens)

    def forward(self, text, state):
        output, state = self.lstm(functional.one_hot(text, self.tokens).float(), state)
        return self.decoder(output), state


def tokens_per_second(steps, lanes=100, length=100, tokens=87, cells=512):
    network, state = LanguageModel(tokens, cells), None
    text = torch.randint(0, tokens, (length + 1, lanes))
    optimizer = torch.optim.Adam(network.parameters(), 0.002)
    seconds = []
    for _ in range(steps + 2):
        start = time.perf_counter()
        optimizer.zero_grad()
        logits, state = network(text[:-1], state)
        functional.cross_entropy(logits.view(-1, tokens), text[1:].reshape(-1)).backward()
        nn.utils.clip_grad_value_(network.parameters(), 5)
        optimizer.step()
        state = tuple(part.detach() for part in state)
        seconds.append(time.perf_counter() - start)
    return lanes * length / statistics.median(seconds[2:])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--language-model", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    if options.language_model:
        best = tokens_per_second(options.steps)
        print(json.dumps({"peer": "pytorch " + torch.__version__, "train_tokens_per_second": round(best, 1)}))
        return
    best = max(
        images_per_second(options.batch, options.steps, layout)
        for layout in (torch.contiguous_format, torch.channels_last)
    )
    print(json.dumps({"peer": "pytorch " + torch.__version__, "train_images_per_second": round(best, 1)}))


main()
