"""Staged training that can be interrupted: one branch alone, the other beside it, end to end, quantisation-aware.

    models/train --photos FOLDER --name ctnet-tiny-x2 --out models/checkpoints

A checkpoint holds weights, optimiser, average and step; a run that finds one goes on from there.
"""

import argparse
import copy
import gc
import math
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from .critic import Critic
from .data import FLAT_SIDES, Crops, balance, flat
from .evaluate import mean_psnr
from .layers import TorchOps
from .maps import classes, routes
from .family import NAMES, build, degradation
from .graft import fitted
from .nano import Nano
from .native import Native
from .network import CTNet
from .soap import NativeSoap, Soap
from .ties import settle

SAVE_EVERY = 600.0  # seconds
SIZES = (1.0, 0.87, 0.75, 0.62, 0.5, 0.42, 0.35, 0.27)  # photographs are learnt from at these, relative to their own


@dataclass
class Stage:
    name: str
    share: float  # of the steps, relative to the shares of the other stages that run
    rate: float  # highest learning rate; cosine to a hundredth of it
    branches: dict  # probability of each choice
    guarded: tuple = ()  # prefixes of parameters that learn only while the Transformer branch runs alone
    moving: tuple = ()  # prefixes of the only parameters that learn at all
    leak: float = 0.1  # slope of the ReLUs below nought at first; nought after a quarter of the stage
    bound: float = 0.0  # signed tensors beyond it cost: see TorchOps
    quantised: bool = False
    settled: float = 1.0  # of the stage: from there on scales are those of the exported file
    early: tuple = ()  # prefixes of layers and quantisers that round to 8 bits before the last stage


# The parts of the Transformer branch. Beside the other it would become a correction to it, and fall silent.
TRANSFORMER = ("embed", "block1", "block2", "pyramid", "fuse_transformer")
# What lies just before the picture is small beside the weights of the tail: rounded only in the last stage, it would
# cost 0.3 dB, and 0.7 where the Transformer branch runs alone.
EARLY = ("head", "embed", "tail", "q_fuse_cnn", "q_fuse_transformer", "q_fused")
# Neither may that branch's range follow a CNN branch which has learnt nothing yet.
GUARDED = (*TRANSFORMER, "q_fuse_transformer")
MIXED = {"both": 0.55, "cnn": 0.05, "transformer": 0.4}
CHOICES = (*MIXED, "routed")  # routed: both branches, but not in every window
STAGES = (
    Stage("transformer", 0.60, 3e-3, {"transformer": 1.0}, bound=1.5),
    Stage("guarded", 0.60, 3e-3, MIXED, guarded=GUARDED, bound=1.5, early=EARLY),
    Stage("end-to-end", 0.35, 2e-3, MIXED, bound=1.5, early=EARLY),
    Stage("quantised", 0.15, 7e-4, MIXED, guarded=GUARDED, leak=0.0, quantised=True, settled=0.5),
)
# Of a run that begins with weights; where they are another scale's, the tail is new and learns alone first.
CONTINUED = ("taught", "end-to-end", "quantised", "photo")
TAIL = Stage("tail", 0.03, 3e-3, {"both": 1.0}, moving=("tail",))
# Of a `-photo` network, from the weights of the one that learnt from pixels alone.
PHOTO_STAGES = (Stage("photo", 1.0, 3e-4, MIXED, leak=0.0, quantised=True, settled=0.5),)
NANO_STAGES = (
    Stage("taught", 0.70, 3e-3, {"both": 1.0}, bound=1.5),
    Stage("quantised", 0.30, 7e-4, {"cnn": 1.0}, leak=0.0, quantised=True, settled=0.5),
)
# More steps for a quantised network, when asked for by name: scales stay as they are but for what the file needs.
SETTLED = Stage("settled", 0.15, 5e-4, MIXED, guarded=GUARDED, leak=0.0, quantised=True, settled=0.0)

WARM = 1000  # steps until the rate is reached: SOAP's first ones, in a basis that knows little, can undo a training
EXCESS = 0.08  # weight of what goes beyond the bound
FLAT = 2e4  # weight of a flat picture's squared distance from flat: no pixel may be half a step off
HARD_EVERY = 500  # steps, after which the greys that are not flat yet are looked for
PRECISE_FROM = 0.8  # of a stage: its last steps are small, and multiply whole floats
EXCESS_EVERY = 4  # steps: it costs a fifth of a step


def spans(total, stages):
    """[(first, last, stage)] in steps."""
    shares = np.cumsum([0.0] + [s.share for s in stages])
    edges = [round(total * float(e / shares[-1])) for e in shares]
    return list(zip(edges[:-1], edges[1:], stages))


def belongs(name, prefixes):
    """Is the parameter one of these, or inside one of these modules?"""
    return any(name == p or name.startswith(p + ".") for p in prefixes)


def not_flat(net):
    """Greys that a quantised network does not leave alone."""
    found = set()
    with torch.no_grad():
        for side in (FLAT_SIDES[0], FLAT_SIDES[-1]):
            for greys in torch.arange(256, device=next(net.parameters()).device).view(-1, 16, 1, 1, 1):
                picture = net(TorchOps(True), (greys / 255).expand(-1, -1, side, side))
                off = ((picture * 255).round() != greys).flatten(1).any(1)
                found.update(greys.flatten()[off].tolist())
    return sorted(found)


class Run:
    def __init__(self, name, crops, total, folder, seed=1, stages=STAGES, native=0, squared=False):
        """`native`: threads of compiled code for losses and gradients, several times faster; for CTNet without a critic.
        `squared`: distances are."""
        torch.manual_seed(seed)
        self.net = build(name)
        self.net.squared = squared
        self.native = Native(self.net, native) if native else None
        if not native:
            self.net = self.net.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.net)
        self.pairs = list(self.average.parameters()), list(self.net.parameters())
        self.crops, self.total, self.seed, self.stages = crops, total, seed, stages
        self.path = Path(folder) / f"{name}.pt"
        self.step, self.seconds = 0, 0.0
        self.optimiser = None
        self.started = False  # with another run's weights?
        self.settled = False  # are scales those of the exported file?
        # What flat pictures are learnt with: all but the last roundings, which would hide how near a value is to the next step.
        self.inner = frozenset(self.net.modules()) - {self.net.q_tail, self.net.q_picture}
        self.hard = []  # greys that are not flat yet
        self.critic = Critic(len(crops.pairs)) if name.endswith("-photo") else None

    def new_optimiser(self, stage):
        """For what the stage may move; scales learn only when they are used."""
        moving = []
        for name, p in self.net.named_parameters():
            still = stage.moving and not belongs(name, stage.moving)
            unused = name.endswith("log_scale") and not stage.quantised and not belongs(name, stage.early)
            if p.requires_grad and not still and not unused:
                moving.append(p)
        return NativeSoap(moving, stage.rate, self.native.library) if self.native else Soap(moving, lr=stage.rate)

    def save(self):
        state = {"step": self.step, "seconds": self.seconds, "hard": self.hard}
        state |= {"net": self.net.state_dict(), "average": self.average.state_dict()}
        state["optimiser"] = self.optimiser.state_dict() if self.optimiser else None
        if self.critic:
            state["critic"] = [self.critic.state_dict(), self.critic.optimiser.state_dict()]
        partial = self.path.with_suffix(".partial")
        torch.save(state, partial)
        partial.rename(self.path)

    def load(self):
        """Take up the checkpoint, if there is one, at its place in data and schedule."""
        if not self.path.exists():
            if self.critic:
                right = self.critic.learn_to_see(self.crops)
                print(f"the eye names {right:.0%} of the crops", flush=True)
            return
        state = torch.load(self.path, weights_only=True)
        self.step, self.seconds, self.hard = state["step"], state["seconds"], state["hard"]
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        if self.critic:
            judges, optimiser = state["critic"]
            self.critic.load_state_dict(judges)
            self.critic.optimiser.load_state_dict(optimiser)
            self.critic.eye.requires_grad_(False)
        for first, last, stage in spans(self.total, self.stages):
            if first < self.step < last:
                self.optimiser = self.new_optimiser(stage)
                self.optimiser.load_state_dict(state["optimiser"])

    def start_from(self, path):
        """Begin with the average of another run (see `graft.py`). A tail for another scale begins anew: was there one?"""
        own = self.net.state_dict()
        try:
            weights = fitted(torch.load(path, weights_only=True)["average"], own)
        except ValueError as error:
            raise SystemExit(f"{path}: {error} (see WITH_DENSE in family.py)") from None
        self.started = True
        other = [n for n, v in weights.items() if v.shape != own[n].shape]
        weights |= {n: own[n] for n in other}
        self.net.load_state_dict(weights)
        self.average.load_state_dict(weights)
        return bool(other)

    def modules(self, prefixes):
        """Those with these prefixes."""
        return frozenset(m for name, m in self.net.named_modules() if belongs(name, prefixes))

    def calibrate(self, choices, learnt):
        """Ranges of activations from 64 batches of the average's own, with every choice of branches.

        Those that are `learnt` stay: the network may rely on their clipping.
        """
        self.net.load_state_dict(self.average.state_dict())
        kept = self.modules(learnt)
        ops = TorchOps(kept, calibrate=True)
        with torch.no_grad():
            for i in range(64):
                self.net(ops, self.crops(i)[0], choices[i % len(choices)])
        for q in self.net.quantisers():
            if q not in kept:
                q.settle()
        self.average.load_state_dict(self.net.state_dict())

    def _step(self, stage, quantised, first, last):
        """`quantised`: everything, nothing, or what rounds already."""
        at = (self.step - first) / (last - first)
        cosine = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * at))
        for group in self.optimiser.param_groups:
            group["lr"] = stage.rate * cosine * min(1.0, (self.step - first + 1) / WARM)
        bound = stage.bound if self.step % EXCESS_EVERY == 0 else 0.0
        leak = stage.leak * max(0.0, 1 - at / 0.25)
        choices, chances = zip(*stage.branches.items())
        rng = np.random.default_rng((self.seed, self.step, 1))
        branches = str(rng.choice(choices, p=chances))
        if stage.quantised and at >= stage.settled and not self.settled:
            settle(self.net, self.average)
            self.settled = True
        if self.settled and self.step % HARD_EVERY == 0:
            self.hard = not_flat(self.average)
        x, y = self.crops(self.step)
        maps = classes(x, torch.from_numpy(rng.random((len(x), 2)))) if branches == "routed" else None
        branches = "both" if branches == "routed" else branches
        weights = balance(x, y, self.net.config.scale, self.net.squared)
        self.optimiser.zero_grad(set_to_none=True)
        if self.native:
            self.native.precise = at > PRECISE_FROM
            self.native(x, y, branches, quantised, leak, bound, EXCESS, weights, classes=maps)
            if stage.quantised:
                x, y = flat(rng, self.net.config.scale, self.hard)
                self.native(x, y, branches, self.inner, weights=[FLAT] * len(x), squared=True)
        else:
            ops = TorchOps(quantised, leak=leak, bound=bound, routes=None if maps is None else routes(maps))
            picture = self.net(ops, x, branches) if self.critic else None
            loss = self.critic.losses(picture, y) if self.critic else self.net.losses(ops, x, y, branches, weights)
            if stage.quantised:
                x, grey = flat(rng, self.net.config.scale, self.hard)
                loss = loss + FLAT * (self.net(TorchOps(self.inner), x, branches) - grey).square().mean()
            (loss + EXCESS * ops.excess).backward()
        guarded = stage.guarded if branches != "transformer" else ()
        if guarded or self.settled:
            for name, p in self.net.named_parameters():
                if belongs(name, guarded) or (self.settled and name.endswith("log_scale")):
                    p.grad = None
        norm = torch.nn.utils.clip_grad_norm_(self.optimiser.param_groups[0]["params"], 0.5)
        if torch.isfinite(norm):
            self.optimiser.step()
        if self.critic:
            self.critic.learn(picture, y)
        self.step += 1
        decay = min(0.999, (self.step - first + 1) / (self.step - first + 10))
        with torch.no_grad():
            torch._foreach_lerp_(*self.pairs, 1 - decay)

    def train(self, report=lambda run, stage, quantised: None, seconds=float("inf")):
        """Go on to the end, or for `seconds`."""
        gc.freeze()  # what is there stays; looking through it again and again costs a tenth of a step
        began, before, saved = time.monotonic(), self.seconds, time.monotonic()
        for first, last, stage in spans(self.total, self.stages):
            if self.step == first:
                if stage.settled and (stage.quantised or stage.early):
                    learnt = self.started or any(s.early for _, end, s in spans(self.total, self.stages) if end <= first)
                    self.calibrate([b for b in stage.branches if b != "routed"], EARLY if learnt else ())
                self.optimiser = self.new_optimiser(stage)
            quantised = stage.quantised or self.modules(stage.early)
            while first <= self.step < last:
                self._step(stage, quantised, first, last)
                now = time.monotonic()
                self.seconds = before + now - began
                if self.step == last:
                    self.net.load_state_dict(self.average.state_dict())
                if self.step % 1000 == 0 or self.step == last:
                    report(self, stage, quantised)
                if self.step == last or now - saved > SAVE_EVERY or now - began > seconds:
                    self.save()
                    saved = now
                if now - began > seconds:
                    return


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", required=True, nargs="+", help="folders of photographs to learn from")
    parser.add_argument("--name", default="ctnet-tiny-x2", choices=NAMES)
    parser.add_argument("--out", default=Path(__file__).resolve().parents[1] / "checkpoints", type=Path)
    parser.add_argument("--watch", help="folder to measure on while training; never learnt from")
    parser.add_argument("--steps", type=int, default=60000)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--crop", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop, to be taken up later, after so long")
    parser.add_argument("--from", dest="start", help="checkpoint whose weights a new run begins with")
    parser.add_argument("--sizes", type=sizes, default=SIZES, help="of the photographs, relative to their own: 1,0.5")
    parser.add_argument("--stages", help="stages to run, of all; by default the last two with --from, without leak")
    parser.add_argument("--rate", type=float, help="highest learning rate of every stage, instead of its own")
    parser.add_argument("--mix", type=shares, default=MIXED, help="both=0.55,cnn=0.05,transformer=0.4: how often each is run; routed: windows by maps, see maps.py")
    parser.add_argument("--unguarded", action="store_true", help="let quantised stages move all, as they do after end-to-end")
    parser.add_argument("--even", action="store_true", help="crops from everywhere, not from the steepest half of a picture")
    parser.add_argument("--squared", action="store_true", help="squared distances, which trained weights gain from")
    parser.add_argument("--torch", action="store_true", help="let PyTorch do all, where there is no C++ compiler: several times slower")
    return parser.parse_args()


def sizes(text):
    """Parts of a whole, from `PART,...`."""
    parts = tuple(float(part) for part in text.split(","))
    if not all(0 < part <= 1 for part in parts):
        raise argparse.ArgumentTypeError(f"{text}: sizes above 0 and at most 1")
    return parts


def shares(text):
    """Choice of branches -> share of the steps, from `CHOICE=SHARE,...`; none for those that are not named."""
    mix = {branches: float(share) for branches, share in (part.split("=") for part in text.split(","))}
    if not mix.keys() <= set(CHOICES) or abs(sum(mix.values()) - 1) > 1e-6:
        raise argparse.ArgumentTypeError(f"{text}: shares of {', '.join(CHOICES)} that are 1 together")
    return mix


def chosen_stages(args, network):
    stages = NANO_STAGES if isinstance(network, Nano) else PHOTO_STAGES if args.name.endswith("-photo") else STAGES
    chosen = args.stages.split(",") if args.stages else CONTINUED if args.start else [s.name for s in stages]
    stages = tuple(s for s in (*stages, replace(SETTLED, branches=stages[-1].branches)) if s.name in chosen)
    stages = tuple(replace(s, branches=args.mix) if s.branches is MIXED else s for s in stages)
    if args.rate:
        stages = tuple(replace(s, rate=args.rate) for s in stages)
    if args.start:  # nothing is dead, and the tail, which both branches share, is left as the other branch needs it
        stages = tuple(replace(s, leak=0.0) for s in stages)
        alone = {"transformer"}
        stages = tuple(replace(s, moving=TRANSFORMER) if s.branches.keys() == alone else s for s in stages)
    if args.unguarded or "end-to-end" in chosen:  # what has learnt with the other branch is guarded from it no more
        stages = tuple(replace(s, guarded=()) if s.quantised else s for s in stages)
    return stages


def main():
    args = arguments()
    network = build(args.name)
    stages = chosen_stages(args, network)
    torch.set_num_threads(args.threads)
    Path(args.out).mkdir(parents=True, exist_ok=True)
    crops = Crops(
        args.photos, network.config.scale, args.crop, args.batch, args.seed, args.sizes, degradation(args.name), args.even
    )
    native = isinstance(network, CTNet) and not args.name.endswith("-photo") and not args.torch
    if native and not shutil.which("c++"):
        raise SystemExit("no C++ compiler (c++); --torch does without")
    run = Run(args.name, crops, args.steps, args.out, args.seed, stages, args.threads if native else 0, args.squared)
    if args.start and run.start_from(args.start):
        run.stages = (TAIL, *stages)
    run.load()
    print(f"{args.name}: {run.net.parameters_deployed()} parameters, {len(crops.places)} places, step {run.step}", flush=True)
    start = time.monotonic()

    def report(run, stage, quantised):
        line = f"{run.step} {stage.name} {time.monotonic() - start:.0f} s"
        if args.watch and (run.step % 3000 == 0 or run.step == run.total):
            for branches in (b for b in stage.branches if b != "routed"):
                line += f" {branches} {mean_psnr(run.average, args.watch, TorchOps(quantised), branches):.3f} dB"
        print(line, flush=True)

    run.train(report, args.seconds)


if __name__ == "__main__":
    main()
