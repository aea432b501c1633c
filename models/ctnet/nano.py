"""CTNet nano: the CNN branch alone at run time, taught by a Transformer branch while it learns.

    Y -- head 3x3 -- RDB --+-- ConvFormer -- (features) -- tail 3x3 -- + nearest anchor -- shuffle
                           |                     : aligned
                           +-- unshuffle -- blocks of window attention -- 1x1, shuffle (features) -- the same tail

As in SCTNet (Xu et al., 2024, arXiv:2312.17071): the branches share what comes before them and the decoder after them,
which must serve both, and the CNN's features are drawn towards the Transformer's. Only the upper line is exported.
"""

from dataclasses import dataclass

import torch.nn as nn
import torch.nn.functional as F

from .layers import WINDOW, Conv, Quantiser
from .network import Block, Network, Pyramid, ResidualDense


@dataclass
class NanoConfig:
    name: str
    scale: int = 2
    width: int = 16  # channels of the trunk
    growth: int = 8
    dense: int = 2
    slots: int = 12  # learnt keys and values of the convolutional attention
    hidden: int = 16  # channels inside the feed-forward layer
    tokens: int = 24  # of the teacher, as all below
    keys: int = 8
    teacher_hidden: int = 16


class ConvFormer(nn.Module):
    """A Transformer's block made of convolutions: attention over learnt slots, then feed-forward, each with a residual.

    Keys are the kernels of a 3x3 convolution, so a pixel's scores against them come from its neighbourhood; a ReLU takes
    softmax's place as everywhere in CTNet; values are the kernels of a second one.
    """

    def __init__(self, c, slots, hidden):
        super().__init__()
        self.keys, self.values = Conv(c, slots, 3), Conv(slots, c, 3)
        self.widen, self.narrow = Conv(c, hidden), Conv(hidden, c)
        for layer in (self.values, self.narrow):
            layer.weight.data.mul_(0.3)
        self.q_scores, self.q_hidden, self.q1 = Quantiser(), Quantiser(), Quantiser()
        self.q_values, self.q_narrow = Quantiser(signed=True), Quantiser(signed=True)

    def forward(self, ops, x, q_out):
        scores = ops.conv(self.keys, x, self.q_scores, relu=True)
        x = ops.add(x, ops.conv(self.values, scores, self.q_values), self.q1, relu=True)
        h = ops.conv(self.widen, x, self.q_hidden, relu=True)
        return ops.add(x, ops.conv(self.narrow, h, self.q_narrow), q_out, relu=True)


class Teacher(nn.Module):
    """The Transformer branch: half resolution, an even and a shifted block of window attention, an atrous pyramid."""

    def __init__(self, c):
        super().__init__()
        self.embed = Conv(4 * c.width, c.tokens, 3)
        self.block1 = Block(c.tokens, c.keys, c.teacher_hidden, 0)
        self.block2 = Block(c.tokens, c.keys, c.teacher_hidden, WINDOW // 2)
        self.pyramid = Pyramid(c.tokens)
        self.features = Conv(c.tokens, 4 * c.width)
        self.q = Quantiser()  # it is never quantised, but its layers are written for networks that are

    def forward(self, ops, x):
        t = ops.conv(self.embed, ops.space_to_depth(x), self.q, relu=True)
        t = self.block2(ops, self.block1(ops, t, self.q), self.q)
        t = self.pyramid(ops, t, self.q)
        return ops.depth_to_space(ops.conv(self.features, t, self.q, relu=True))


class Nano(Network):
    """Luma in 0..1, N x 1 x H x W with H and W multiples of 16, to N x 1 x (scale H) x (scale W)."""

    silent = {"cnn": ()}
    TAUGHT, ALIGNED = 0.5, 0.05  # weights of the teacher's picture and of the features' alignment

    def __init__(self, config):
        super().__init__()
        self.config = c = config
        self.head = Conv(1, c.width, 3)
        self.dense = ResidualDense(c.width, c.growth, c.dense)
        self.former = ConvFormer(c.width, c.slots, c.hidden)
        self.tail = Conv(c.width, c.scale**2, 3)
        self.tail.weight.data.mul_(0.1)
        self.q_in, self.q_picture = Quantiser(scale=1 / 255), Quantiser(scale=1 / 255)
        self.q_dense, self.q_features = Quantiser(), Quantiser()
        self.q_tail = Quantiser(signed=True, scale=1 / 255)  # as in CTNet
        self.teacher = Teacher(c)
        self.align = nn.Conv2d(c.width, c.width, 1)

    def _shared(self, ops, y):
        y = ops.input(y, self.q_in)
        return y, self.dense(ops, ops.conv(self.head, y, self.dense.q, relu=True), self.q_dense)

    def _decode(self, ops, features, y):
        return ops.output(ops.conv(self.tail, features, self.q_tail), y, self.q_picture, self.config.scale)

    def forward(self, ops, y, branches="both"):
        """The picture; the teacher's with `branches="transformer"`."""
        y, x = self._shared(ops, y)
        if branches == "transformer":
            return self._decode(ops, self.teacher(ops, x), y)
        return self._decode(ops, self.former(ops, x, self.q_features), y)

    def losses(self, ops, x, y, branches, weights=None):
        """With "cnn" the CNN's alone; with "both" the teacher's too, and how far the features are apart."""
        if branches != "both":
            return super().losses(ops, x, y, branches, weights)
        x, shared = self._shared(ops, x)
        student, teacher = self.former(ops, shared, self.q_features), self.teacher(ops, shared)
        apart = F.mse_loss(self.align(student), teacher.detach()) / (teacher.detach().var() + 1e-6)
        loss = self.distance(self._decode(ops, student, x), y, weights)
        loss = loss + self.TAUGHT * self.distance(self._decode(ops, teacher, x), y, weights)
        # Relative to the picture's own distance, which falls by orders of magnitude while the features' does not.
        return loss + self.ALIGNED * loss.detach() * apart

    def deployed(self):
        return {n: v for n, v in self.state_dict().items() if not n.startswith(("teacher.", "align."))}
