"""CTNet.

    Y --+-- head 3x3 -- 3x3 ... ---+-- (+) -- 3x3 ... -- 1x1 * alpha --(+)-- tail 3x3 -- (+) -- shuffle
        |                  align   |    |                               |                 |
        |           coordinate     |    | exchange (cross-attention)    |             nearest anchor
        |             attention    |    |                               |
        +-- unshuffle, 3x3 -- block ----(+)-- shifted block -- ASPP -- 1x1 * (1 - alpha), shuffle

The CNN branch runs at full resolution, the Transformer branch at half. Every tensor of the trunk is
non-negative (ReLU), so its zero point is 0 and zero padding is a plain zero byte.
"""

from dataclasses import dataclass

import torch
import torch.nn as nn

from .layers import WINDOW, Conv, Quantiser

# The tensors that are nought when only one branch runs; the exported file names them.
SILENT = {
    "cnn": ("exchange_to_cnn", "fused_transformer"),
    "transformer": ("exchange_to_transformer", "fused_cnn"),
}


@dataclass
class Config:
    name: str
    scale: int = 2
    width: int = 16  # channels of the CNN trunk
    layers: tuple = (2, 2)  # 3x3 layers of the CNN trunk before and after the exchange
    steps: int = 127  # of the weights of that chain: with fewer, more of their products fit into 16 bits together
    growth: int = 0  # channels that each of these adds, in residual dense blocks; 0: they are a chain
    tokens: int = 16  # channels of the Transformer branch
    keys: int = 8  # channels of queries and keys
    hidden: int = 8  # channels inside the feed-forward layer
    context: int = 8  # channels of the CNN's features, aligned for the exchange
    squeeze: int = 8  # channels inside coordinate attention
    more: tuple = (0, 0)  # blocks of the Transformer branch beyond the first, before and after the exchange


class ResidualChain(nn.Module):
    """3x3 layers one after the other, each with its residual folded into the kernel: it begins near the identity."""

    def __init__(self, width, layers, steps):
        super().__init__()
        self.layers = nn.ModuleList(Conv(width, width, 3) for _ in range(layers))
        for layer in self.layers:
            layer.steps = steps
        with torch.no_grad():
            for layer in self.layers:
                layer.weight.mul_(0.5)
                layer.weight[:, :, 1, 1] += torch.eye(width)
        self.q = Quantiser()  # of the input
        self.between = nn.ModuleList(Quantiser() for _ in range(layers - 1))

    def forward(self, ops, x, q_out):
        """`x` must be quantised by `self.q`."""
        for layer, q in zip(self.layers, (*self.between, q_out)):
            x = ops.conv(layer, x, q, relu=True)
        return x


class ResidualDense(nn.Module):
    """Dense 3x3 layers on a growing concat, a 1x1 that fuses them, a residual."""

    def __init__(self, width, growth, layers):
        super().__init__()
        self.layers = nn.ModuleList(Conv(width + i * growth, growth, 3) for i in range(layers))
        self.fuse = Conv(width + layers * growth, width)
        with torch.no_grad():
            self.fuse.weight.mul_(0.3)
        self.q = Quantiser()  # shared by the input and everything concatenated to it
        self.q_fuse = Quantiser(signed=True)

    def forward(self, ops, x, q_out):
        """`x` must be quantised by `self.q`."""
        parts = [x]
        for layer in self.layers:
            parts.append(ops.conv(layer, ops.concat(parts, self.q), self.q, relu=True))
        fused = ops.conv(self.fuse, ops.concat(parts, self.q), self.q_fuse)
        return ops.add(x, fused, q_out, relu=True)


class Attention(nn.Module):
    """Window attention: queries from one tensor of `c` channels, keys and values from it or another of `context`."""

    def __init__(self, c, context, keys, values):
        super().__init__()
        self.query, self.key, self.value = Conv(c, keys), Conv(context, keys), Conv(context, values)
        with torch.no_grad():
            # Scores that begin below nought would stay silent for ever: where both see the same, alike tokens
            # match from the start; elsewhere (inputs are not negative) positive weights see to it.
            if c == context:
                self.key.weight.copy_(self.query.weight)
            else:
                self.query.weight.abs_()
                self.key.weight.abs_()
        self.qq, self.qk, self.qv = (Quantiser(signed=True) for _ in range(3))
        self.q_scores, self.q_out = Quantiser(), Quantiser(signed=True)

    def forward(self, ops, x, context, shift=0):
        # The static scale 1 / (sqrt(keys) * tokens of a window) is deployed in the query weights.
        keys = len(self.query.bias)
        norm = self.query.bias.new_full((keys,), 1 / (keys**0.5 * WINDOW * WINDOW))
        q = ops.conv(self.query, x, self.qq, factor=norm)
        k = ops.conv(self.key, context, self.qk)
        v = ops.conv(self.value, context, self.qv)
        return ops.attention(q, k, v, self.q_scores, self.q_out, shift)


class Block(nn.Module):
    """Convolutional position embedding, window attention, feed-forward; each with a residual.

    The feed-forward layer is a thin 3x3 and a 1x1: mixing neighbours across channels is worth more than width.
    """

    def __init__(self, c, keys, hidden, shift):
        super().__init__()
        self.shift = shift
        self.position = Conv(c, c, 3, depthwise=True)
        self.attention = Attention(c, c, keys, c)
        self.project = Conv(c, c)
        self.widen, self.narrow = Conv(c, hidden, 3), Conv(hidden, c)
        with torch.no_grad():
            for layer in (self.position, self.project, self.narrow):
                layer.weight.mul_(0.3)
        self.q_position, self.q_project, self.q_narrow = (Quantiser(signed=True) for _ in range(3))
        self.q1, self.q2, self.q_hidden = Quantiser(), Quantiser(), Quantiser()

    def forward(self, ops, x, q_out):
        x = ops.add(x, ops.conv(self.position, x, self.q_position), self.q1, relu=True)
        a = self.attention(ops, x, x, self.shift)
        x = ops.add(x, ops.conv(self.project, a, self.q_project), self.q2, relu=True)
        h = ops.conv(self.widen, x, self.q_hidden, relu=True)
        return ops.add(x, ops.conv(self.narrow, h, self.q_narrow), q_out, relu=True)


class Blocks(nn.Module):
    """Blocks whose windows are shifted in turn; each quantises what it reads, the caller what the last gives."""

    def __init__(self, c, count, first_shifted):
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(c.tokens, c.keys, c.hidden, WINDOW // 2 * ((i + first_shifted) % 2)) for i in range(count)
        )
        self.q = nn.ModuleList(Quantiser() for _ in range(count))

    def around(self, first, q_out):
        """[(block, quantiser of what it gives)] of `first` and these, one after the other."""
        return list(zip((first, *self.blocks), (*self.q, q_out)))


class CoordinateAttention(nn.Module):
    """Gates per row and per column, from means along the other axis; pooled per window, never per tile."""

    def __init__(self, c, squeeze):
        super().__init__()
        self.squeeze = Conv(c, squeeze)
        self.rows, self.columns = Conv(squeeze, c), Conv(squeeze, c)
        for gate in (self.rows, self.columns):
            nn.init.normal_(gate.weight, std=0.05)
            nn.init.constant_(gate.bias, 0.9)
        self.q_mean, self.q_squeeze = Quantiser(), Quantiser()
        self.q_rows, self.q_columns = Quantiser(scale=1 / 255), Quantiser(scale=1 / 255)
        self.q1 = Quantiser()

    def forward(self, ops, x, q_out):
        gates = []
        for along, layer, q in (("x", self.rows, self.q_rows), ("y", self.columns, self.q_columns)):
            mean = ops.pool(x, self.q_mean, along)
            gates.append(ops.unit(layer, ops.conv(self.squeeze, mean, self.q_squeeze, relu=True), q))
        return ops.gate(ops.gate(x, gates[0], self.q1, "x"), gates[1], q_out, "y")


class Pyramid(nn.Module):
    """Atrous pyramid: depth-wise 3x3 at dilations 1, 2 and 4, fused by a 1x1, with a residual."""

    def __init__(self, c):
        super().__init__()
        self.levels = nn.ModuleList(Conv(c, c, 3, dilation=d, depthwise=True) for d in (1, 2, 4))
        self.fuse = Conv(3 * c, c)
        with torch.no_grad():
            self.fuse.weight.mul_(0.3)
        self.q_levels, self.q_fuse = Quantiser(), Quantiser(signed=True)

    def forward(self, ops, x, q_out):
        parts = [ops.conv(level, x, self.q_levels, relu=True) for level in self.levels]
        fused = ops.conv(self.fuse, ops.concat(parts, self.q_levels), self.q_fuse)
        return ops.add(x, fused, q_out, relu=True)


class Network(nn.Module):
    """What training, evaluation and export ask of every network of the family."""

    silent = SILENT  # branch -> tensors that are nought when it runs alone
    squared = False  # are distances squared?

    def distance(self, a, b, weights=None):
        """How far picture `a` is from `b`; `weights`: of the crops, one by default."""
        if not self.squared:
            return charbonnier(a, b, weights)
        return weighted((a - b) ** 2, weights)

    def losses(self, ops, x, y, branches, weights=None):
        """Distance of what `branches` make of `x` from `y`; `weights`: of the crops, one by default."""
        return self.distance(self(ops, x, branches), y, weights)

    def quantisers(self):
        return [m for m in self.modules() if isinstance(m, Quantiser)]

    def deployed(self):
        """Name -> value of everything that the exported file is made of."""
        return self.state_dict()

    def parameters_deployed(self):
        """Weights and biases in the exported file."""
        ends = (".weight", ".bias")
        return sum(value.numel() for name, value in self.deployed().items() if name.endswith(ends))


def charbonnier(a, b, weights=None, eps=1e-3):
    """Mean distance; `weights`: of what lies along the first dimension."""
    return weighted(torch.sqrt((a - b) ** 2 + eps**2), weights)


def weighted(distances, weights=None):
    """Their mean; `weights`: of what lies along the first dimension."""
    return distances.mean() if weights is None else (distances.mean((1, 2, 3)) * weights).mean()


class CTNet(Network):
    """Luma in 0..1, N x 1 x H x W with H and W multiples of 16, to N x 1 x (scale H) x (scale W)."""

    def __init__(self, config):
        super().__init__()
        self.config = c = config
        self.head = Conv(1, c.width, 3)
        self.local1, self.local2 = (
            ResidualDense(c.width, c.growth, n) if c.growth else ResidualChain(c.width, n, c.steps) for n in c.layers
        )
        self.embed = Conv(4, c.tokens, 3)
        self.block1 = Block(c.tokens, c.keys, c.hidden, 0)
        self.block2 = Block(c.tokens, c.keys, c.hidden, WINDOW // 2)
        self.more1, self.more2 = (
            Blocks(c, n, first_shifted) for n, first_shifted in zip(c.more, (True, False))
        )
        self.align = Conv(4 * c.width, c.context)
        self.coordinate = CoordinateAttention(c.context, c.squeeze)
        self.to_cnn = Attention(c.context, c.tokens, c.keys, c.context)
        self.to_cnn_up = Conv(c.context, 4 * c.width)
        self.to_transformer = Attention(c.tokens, c.context, c.keys, c.context)
        self.to_transformer_project = Conv(c.context, c.tokens)
        self.pyramid = Pyramid(c.tokens)
        # alpha in 0..1, one per channel: y = alpha * y_cnn + (1 - alpha) * y_transformer
        self.alpha = nn.Parameter(torch.zeros(c.width))
        self.fuse_cnn = Conv(c.width, c.width)
        self.fuse_transformer = Conv(c.tokens, 4 * c.width)
        self.tail = Conv(c.width, c.scale**2, 3)
        with torch.no_grad():
            self.to_cnn_up.weight.mul_(0.3)
            self.to_transformer_project.weight.mul_(0.3)
            self.tail.weight.mul_(0.1)
        self.q_in, self.q_picture = Quantiser(scale=1 / 255), Quantiser(scale=1 / 255)
        self.q_embed, self.q_cnn1, self.q_align, self.q_context = (Quantiser() for _ in range(4))
        self.q_t1, self.q_t2, self.q_t3, self.q_t4 = (Quantiser() for _ in range(4))
        self.q_to_cnn, self.q_to_transformer, self.q_fuse_cnn, self.q_fuse_transformer = (
            Quantiser(signed=True) for _ in range(4)
        )
        # In steps of the picture: a residual that is added to the anchor is not rounded once more.
        self.q_tail = Quantiser(signed=True, scale=1 / 255)
        self.q_cnn2, self.q_fused = Quantiser(), Quantiser()

    def forward(self, ops, y, branches="both"):
        """With one branch alone, what the other would have given is nought (`SILENT`)."""
        cnn, transformer = branches != "transformer", branches != "cnn"
        y = ops.input(y, self.q_in)
        if cnn:
            c1 = self.local1(ops, ops.conv(self.head, y, self.local1.q, relu=True), self.q_cnn1)
        if transformer:
            t = ops.conv(self.embed, ops.space_to_depth(y), self.q_embed, relu=True)
            for block, q in self.more1.around(self.block1, self.q_t1):
                t = block(ops, t, q)
        if cnn and transformer:
            aligned = ops.conv(self.align, ops.space_to_depth(c1), self.q_align, relu=True)
            aligned = self.coordinate(ops, aligned, self.q_context)
            up = ops.conv(self.to_cnn_up, self.to_cnn(ops, aligned, t), self.q_to_cnn, name="exchange_to_cnn")
            up = ops.depth_to_space(up)
            back = self.to_transformer(ops, t, aligned)
            back = ops.conv(self.to_transformer_project, back, self.q_to_transformer, name="exchange_to_transformer")
        if cnn:
            x = ops.add(c1, up if transformer else c1 * 0, self.local2.q, relu=True)
            x = self.local2(ops, x, self.q_cnn2)
            alpha = torch.sigmoid(self.alpha)
            fused_cnn = ops.conv(self.fuse_cnn, x, self.q_fuse_cnn, name="fused_cnn", factor=alpha)
        if transformer:
            t = ops.add(t, back if cnn else t * 0, self.q_t2, relu=True)
            for block, q in self.more2.around(self.block2, self.q_t3):
                t = block(ops, t, q)
            t = self.pyramid(ops, t, self.q_t4)
            rest = torch.sigmoid(-self.alpha).repeat(4)  # the four places of a depth-to-space block
            fused_transformer = ops.conv(
                self.fuse_transformer, t, self.q_fuse_transformer, name="fused_transformer", factor=rest
            )
            fused_transformer = ops.depth_to_space(fused_transformer)
        if not cnn:
            fused_cnn = fused_transformer * 0
        if not transformer:
            fused_transformer = fused_cnn * 0
        x = ops.add(fused_cnn, fused_transformer, self.q_fused, relu=True)
        residual = ops.conv(self.tail, x, self.q_tail)
        return ops.output(residual, y, self.q_picture, self.config.scale)
