"""Trains a plan of networks in a stated time, on a GPU: `models/gpu/run`.

    python -m ctnet.gpu --photos photos.zip --plan plan.toml --out FOLDER --seconds 540
    python -m ctnet.gpu --photos photos.zip --plan plan.toml --out FOLDER --device cpu --toy

A plan is a list of phases, each with its share of the time, and in each runs beside each other (see `plan.toml`). Schedules follow
the clock and not the steps, so that every run has come to its end when the time is over. A step (crops, losses, gradients,
optimiser, average) is recorded once a stage as a CUDA graph and replayed. Everything is saved once a minute into one file,
`results.pt`; `models/unpack` makes checkpoints of it. cuDNN is not asked to try its algorithms out: for base it takes 50 seconds.
"""

import argparse
import copy
import json
import math
import time
import tomllib
from contextlib import nullcontext
from pathlib import Path

import torch

from .batched_soap import BatchedSoap
from .camera import Camera
from .cost import macs
from .data import balance
from .family import SIZES as NETWORKS
from .graft import fitted
from .layers import TorchOps
from .maps import classes, routes
from .network import SILENT, Config, CTNet
from .packed import PackedCrops, photographs
from .ties import settle
from .train import EXCESS, FLAT, SIZES, belongs, not_flat

SAVE_EVERY = 60.0  # seconds
AHEAD = 8  # steps that the host may be ahead of the device
BOUND, EXCESS_EVERY = 1.5, 4  # signed tensors beyond the bound cost, every so many steps
LEAK_UNTIL = 0.15  # of a first stage: slope of the ReLUs below nought, a tenth
PRECISE_FROM = 0.8  # of a stage in floats: from there on it multiplies more than 8 bits of mantissa
WARM = 300  # steps until the rate is reached
FLAT_SIDES = (16, 48)
FLATS = 8
HARD_EVERY = 500  # steps, after which the greys that are not flat yet are looked for
DECAY = 0.999  # of the average
MIX = {"both": 0.6, "transformer": 0.08, "cnn": 0.02, "routed": 0.3}  # of the crops; routed: by maps, see maps.py


class DeviceOps(TorchOps):
    """Keeps the channels last, where PyTorch cannot tell from the strides of one channel that they are."""

    def _conv(self, layer, x, factor=None):
        return super()._conv(layer, x, factor).contiguous(memory_format=torch.channels_last)


class Job:
    """One network of the plan, in one phase."""

    def __init__(self, entry, phase, crops, device, weights):
        """`weights`: name of a run -> those it ended with, or a checkpoint's."""
        self.name, self.device, self.crops = entry["name"], device, crops
        self.net = CTNet(Config(self.name, crops.scale, **(NETWORKS[entry["size"]] | entry.get("design", {}))))
        self.net.squared = entry.get("squared", False)
        self.mix = entry.get("mix", MIX)
        self.only = next(iter(self.mix)) if len(self.mix) == 1 else None  # branches, where they never change
        self.cost = round(macs(self.net, self.only or "both", 256))
        self.stages = [(s["kind"], s["share"], s["rate"]) for s in entry["stages"]]
        self.seconds, self.fresh = phase, "from" not in entry
        torch.manual_seed(entry.get("seed", 1))
        if not self.fresh:
            own = self.net.state_dict()
            theirs = fitted(weights[entry["from"]], own)
            self.net.load_state_dict({n: v if v.shape == own[n].shape else own[n] for n, v in theirs.items()})
        self.net = self.net.to(device)
        self.average = copy.deepcopy(self.net)
        self.inner = frozenset(self.net.modules()) - {self.net.q_tail, self.net.q_picture}
        self.stream = torch.cuda.Stream() if device.type == "cuda" else None
        self.greys = torch.arange(256, device=device)  # those that flat pictures are drawn from
        self.edges = torch.tensor(list(self.mix.values()), device=device).cumsum(0)
        # Flat pictures: half of them through both branches, a quarter through each alone.
        cnn, transformer = (torch.ones(FLATS, 1, 1, 1, device=device) for _ in range(2))
        cnn[: FLATS // 4], transformer[FLATS // 4 : FLATS // 2] = 0, 0
        self.flat_routes = dict.fromkeys(SILENT["transformer"], cnn) | dict.fromkeys(SILENT["cnn"], transformer)
        self.losses = torch.zeros(2, device=device)  # sum and count
        self.log, self.stage, self.settled, self.step, self.setting = [], -1, False, 0, None
        self.kept = {}

    # The schedule

    def tick(self, elapsed):
        """Take one step, `elapsed` seconds after the phase has begun."""
        at = min(elapsed / self.seconds, 1.0)
        edges = [0.0]
        total = sum(share for _, share, _ in self.stages)
        for _, share, _ in self.stages:
            edges.append(edges[-1] + share / total)
        stage = max(i for i in range(len(self.stages)) if at >= edges[i])
        if stage != self.stage:
            self._enter(stage)
        kind, _, rate = self.stages[stage]
        within = (at - edges[stage]) / (edges[stage + 1] - edges[stage])
        leak = 0.1 if self.fresh and stage == 0 and within < LEAK_UNTIL else 0.0
        setting = (kind, leak, kind == "float" and within < PRECISE_FROM)
        if setting != self.setting:
            self.setting = setting
            self._record()
        cosine = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(within, 1.0)))
        self.soap.rate.fill_(rate * cosine * min(1.0, (self.step - self.began + 1) / WARM))
        bound = kind == "float" and self.step % EXCESS_EVERY == 0
        self.graphs[bound]()
        self.soap.after_step()
        self.step += 1
        if kind == "settled" and (self.step - self.began) % HARD_EVERY == 0:
            self._look_for_hard_greys()

    def _enter(self, stage):
        """Begin with the average of the stage before; ranges are measured before the first that rounds."""
        kind = self.stages[stage][0]
        if self.stage >= 0:
            self.net.load_state_dict(self.average.state_dict())
        if kind != "float" and not self.kept.get("calibrated"):
            self.kept["float"] = {n: v.cpu().clone() for n, v in self.average.state_dict().items()}
            if self.fresh or self.stage >= 0:
                self._calibrate()
            self.kept["calibrated"] = True
        if kind == "settled" and not self.settled:
            settle(self.net, self.average)
            self.settled = True
        for name, p in self.net.named_parameters():
            if name.endswith("log_scale") and kind == "settled":
                p.requires_grad_(False)  # a gradient that nobody asks for is not computed
        moving = [
            p for name, p in self.net.named_parameters()
            if p.requires_grad and (kind == "quantised" or not name.endswith("log_scale")) and not self._idle(name)
        ]  # fmt: skip
        self.soap = BatchedSoap(moving)
        self.pairs = list(self.average.parameters()), list(self.net.parameters())
        self.stage, self.began, self.setting = stage, self.step, None

    def _idle(self, name):
        """Is the parameter of a branch that never runs?"""
        cnn = ("head", "local1", "local2", "fuse_cnn", "q_cnn1", "q_cnn2", "q_fuse_cnn")
        exchange = ("align", "coordinate", "to_cnn", "to_cnn_up", "to_transformer", "to_transformer_project")
        transformer = ("embed", "block1", "block2", "more1", "more2", "pyramid", "fuse_transformer", "q_fuse_transformer")
        idle = {"cnn": transformer + exchange, "transformer": cnn + exchange}.get(self.only, ())
        return belongs(name, idle)

    def _calibrate(self, batches=16):
        ops = DeviceOps(calibrate=True)
        choices = [self.only] if self.only else ["both", "transformer", "cnn"]
        with torch.no_grad():
            for i in range(batches):
                self.net(ops, self.crops()[0], choices[i % len(choices)])
        for q in self.net.quantisers():
            q.settle()
        self.average.load_state_dict(self.net.state_dict())

    def _look_for_hard_greys(self):
        hard = not_flat(self.average)
        self.log.append(f"{len(hard)} greys are not flat")
        pool = torch.arange(256, device=self.device)
        if hard:
            pool[::2] = torch.tensor(hard, device=self.device).repeat(128)[:128]
        self.greys.copy_(pool)

    # One step

    def _routes(self, x):
        """What runs in each window of each crop: (branches, routes), by the mix."""
        if self.only:
            return self.only, None
        batch = len(x)
        kind = torch.searchsorted(self.edges, torch.rand(batch, device=self.device)).view(-1, 1, 1, 1)
        names = list(self.mix)
        of = lambda name: kind == names.index(name) if name in names else torch.zeros_like(kind, dtype=torch.bool)  # noqa: E731
        by_maps = routes(classes(x, torch.rand(batch, 2, device=self.device)))
        kept = {name: route | ~of("routed") for name, route in by_maps.items()}
        for branch, names_of in SILENT.items():
            for name in names_of:
                kept[name] = kept.get(name, True) & ~of(branch)
        return "both", {name: route.float() for name, route in kept.items()}

    def _one(self, kind, leak, half, bound):
        """Losses, gradients, optimiser and average: everything on the device."""
        for p in self.net.parameters():
            p.grad = None
        x, y = self.crops()
        weights = balance(x, y, self.crops.scale, self.net.squared)
        branches, routes = self._routes(x)
        ops = DeviceOps(kind != "float", leak=leak, bound=BOUND if bound else 0.0, routes=routes)
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=half, cache_enabled=False)
        with autocast:
            picture = self.net(ops, x, branches)
        loss = self.net.distance(picture.float(), y, weights)
        total = loss + EXCESS * ops.excess
        if kind != "float":
            for side in FLAT_SIDES:
                chosen = self.greys[torch.randint(256, (FLATS, 1, 1, 1), device=self.device)] / 255
                flat = self.net(DeviceOps(self.inner, routes=routes and self.flat_routes), chosen.expand(-1, 1, side, side), branches)
                total = total + FLAT / len(FLAT_SIDES) * (flat - chosen).square().mean()
        total.backward()
        self.soap.step()
        with torch.no_grad():
            self.losses += torch.stack([loss.detach(), torch.ones_like(loss)])
            lag = 1 - torch.clamp((self.soap.steps + 1) / (self.soap.steps + 10), max=DECAY).float()
            apart = torch._foreach_sub(self.pairs[1], self.pairs[0])
            torch._foreach_mul_(apart, lag)
            torch._foreach_add_(self.pairs[0], apart)

    def _record(self):
        """A function for steps without and one for steps with the bound's loss."""
        if self.stream:
            torch.cuda.synchronize()  # the recordings before may still run
        self.graphs = {}
        for bound in (False, True) if self.setting[0] == "float" else (False,):
            step = lambda b=bound: self._one(*self.setting, b)  # noqa: E731
            if self.stream is None:
                self.graphs[bound] = step
                continue
            for _ in range(2):  # libraries choose and allocate before a recording
                step()
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
                step()
            self.graphs[bound] = graph.replay

    def report(self):
        """Mean loss since the last report."""
        total, count = self.losses.tolist()
        self.losses.zero_()
        line = f"{self.name} {self.setting and self.setting[0]} step {self.step} loss {total / max(count, 1):.5f}"
        self.log.append(line)
        return line

    def state(self):
        state = {"average": {n: v.cpu().clone() for n, v in self.average.state_dict().items()}, "step": self.step}
        state |= {"log": self.log, "macs": self.cost}
        return state | ({"float": self.kept["float"]} if "float" in self.kept else {})


def on(stream):
    return torch.cuda.stream(stream) if stream else nullcontext()


class Plan:
    def __init__(self, args):
        self.began, self.args = time.monotonic(), args
        self.device = torch.device(args.device)
        self.phases = tomllib.loads(args.plan.read_text())["phase"]
        self.photos = photographs(args.photos, 2 if args.toy else None)
        self.results, self.cuts = {}, {}
        self.saved = time.monotonic()
        root = Path(__file__).resolve().parents[1] / "checkpoints"
        names = {job["from"] for phase in self.phases for job in phase["job"] if "from" in job}
        ours = {job["name"] for phase in self.phases for job in phase["job"]}
        self.weights = {n: torch.load(root / n, weights_only=True)["average"] for n in names if n not in ours}
        self.say(f"{len(self.photos)} photographs")

    def say(self, text):
        print(f"{time.monotonic() - self.began:.0f} s: {text}", flush=True)

    def crops(self, job):
        """Photographs cut for a job's scale; jobs of one kind share them."""
        toy = self.args.toy
        key = job.get("scale", 2), job.get("crop", 64), 2 if toy else job.get("batch", 32), job.get("cam", False)
        if key not in self.cuts:
            scale, crop, batch, cam = key
            degrade = Camera(self.device) if cam else None
            self.cuts[key] = PackedCrops(self.photos, scale, crop, batch, SIZES[:2] if toy else SIZES, self.device, degrade)
            self.say(f"x{scale}, {crop} x {crop}: {len(self.cuts[key].places)} places")
        return self.cuts[key]

    def run(self):
        shares = sum(phase["share"] for phase in self.phases)
        for phase in self.phases:
            for job in phase["job"]:
                self.crops(job)
        # What has been spent on reading is not there for learning.
        left = self.args.seconds - (time.monotonic() - self.began)
        for phase in self.phases:
            self._phase(phase, left * phase["share"] / shares)
            self.save()

    def _phase(self, phase, seconds):
        jobs = [
            Job(entry, seconds, self.crops(entry), self.device, self.weights)
            for entry in phase["job"]
            for entry in ([entry] if "seeds" not in entry else [entry | {"seed": s, "name": f"{entry['name']}-{s}"} for s in entry["seeds"]])
        ]
        self._wait()  # runs have streams of their own from here on
        began, reported, waiting = time.monotonic(), time.monotonic(), []
        while (elapsed := time.monotonic() - began) < seconds:
            for job in jobs:
                with on(job.stream):
                    job.tick(elapsed)
            if self.device.type == "cuda":
                waiting.append([torch.cuda.Event() for _ in jobs])
                for event, job in zip(waiting[-1], jobs):
                    event.record(job.stream)
                if len(waiting) > AHEAD:
                    for event in waiting.pop(0):
                        event.synchronize()
            if time.monotonic() - reported > self.args.report:
                self._wait()
                for job in jobs:
                    self.say(job.report())
                reported = time.monotonic()
            if time.monotonic() - self.saved > SAVE_EVERY:
                self.save(jobs)
        self._wait()
        for job in jobs:
            self.say(f"{job.report()} ({job.cost} multiply-adds a pixel, {job.step / seconds:.0f} steps a second)")
            self.results[job.name] = job.state()
            self.weights[job.name] = self.results[job.name].get("float", self.results[job.name]["average"])

    def _wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def save(self, jobs=()):
        self._wait()
        partial = self.args.out / "results.partial"
        torch.save(self.results | {job.name: job.state() for job in jobs}, partial)
        partial.rename(self.args.out / "results.pt")
        (self.args.out / "log.json").write_text(json.dumps({name: r["log"] for name, r in self.results.items()}, indent=1))
        self.saved = time.monotonic()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", required=True, type=Path, help="what models/pack made")
    parser.add_argument("--plan", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--seconds", type=float, default=540, help="for everything, from the start")
    parser.add_argument("--report", type=float, default=15, help="seconds between two lines of each run")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--toy", action="store_true", help="two photographs and crops by twos: the same code, to try a plan")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.device == "cuda":
        torch.set_num_threads(1)  # factorisations run beside each other
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    Plan(args).run()


if __name__ == "__main__":
    main()
