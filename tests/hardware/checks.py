"""What the runs in the emulated machine have to show."""

import re
import statistics

# Every run that ends well or is made to end, and its exit code.
EXITS = {
    "feed": 0,
    "screen-grey": 0,
    "screen-yuyv": 0,
    "fb": 0,
    "console-TERM": 0,
    "console-HUP": 0,
    # Signals that nobody can listen to, or that nobody should.
    "console-ABRT": 134,
    "console-KILL": 137,
    "flips": 0,
    "latency": 0,
    "allocations": 0,
    "damage": 0,
    "disconnect": 0,
    "unplug": 0,
    "holder": 0,
    "feeder": 0,
}

# What is refused, with which words.
REFUSALS = {
    "no-camera": "there is no such device; is the camera plugged in?",
    "no-format": "does not offer MJPG; it offers",
    "no-size": "does not offer 123x45; it offers",
    "no-video": "is no video device",
    "no-path": "v4l2:///dev/video0",
    "no-source": "this device is no camera",
    "no-sink": "this device takes no frames",
    "no-card": "/dev/dri/card7 does not exist; there is card0",
    "no-output": "card0 has no output 'HDMI-A-9', but Virtual-1 connected",
    "no-mode": "does not offer 123x45; it offers",
    "no-framebuffer": "there is no such framebuffer",
    "null-framebuffer": "this is no framebuffer",
    "camera-forbidden": "no permission; add yourself to its group with 'sudo usermod -aG video $USER'",
    "card-forbidden": "no permission; add yourself to the group 'video'",
    "framebuffer-forbidden": "no permission; join the group video",
    "busy": "another program uses this camera; end it first",
    "output-busy": "another program feeds this device; end it first",
    "no-master": "another program has the display; end the desktop",
}

# Page flips that are looked at, and frames that are captured while latency is.
FLIPS, CAPTURED = 60, 600
# Frames that wait (`--queue`), and those in the hands of network and sink.
QUEUE = 1
# A leak in every cycle would be more than this, which is the allocator's unrest.
UNREST_KB = 256


class Record:
    """What the machine said: `## KIND NAME REST`."""

    def __init__(self):
        self.exits, self.summaries, self.refusals, self.consoles, self.held = {}, {}, {}, {}, {}

    def exit(self, name, code):
        self.exits.setdefault(name, []).append(int(code))

    def refusal(self, name, code, lines, text):
        self.refusals[name] = (int(code), int(lines), text)


def exits(record):
    for name, codes in record.exits.items():
        assert set(codes) == {EXITS[name]}, f"{name} ended with {codes}"


def counts(record):
    """Frames are shown or dropped, and devices came back."""
    for name, s in record.summaries.items():
        assert s["shown"] + sum(s["dropped"].values()) == s["captured"], f"{name}: {s}"
    print(f"  {len(record.summaries)} runs: drops + shown = captured")


def damage(record):
    source = record.summaries["damage"]["source"]
    assert source["damaged"] >= 3 and source["restarts"] >= 1, source


def returned(record, name, who, cycles):
    """Every disconnection is survived and leaves nothing behind."""
    assert record.summaries[name][who]["reconnects"] == cycles, record.summaries[name]
    (size, *early), (size_now, *late) = record.held[name]
    print(f"  {name}: {cycles} times; files and threads {early} then {late}, {size_now - size:+} KiB")
    assert early == late and size_now - size < UNREST_KB, record.held[name]


def camera_list(said):
    """What `live --list` says of the camera and the screens."""
    camera = next(c for c in said["cameras"] if c["uri"] == "v4l2:///dev/video0")
    offered = {f["format"]: f for f in camera["formats"]}
    for name in ["NV12", "YU12", "YUYV", "UYVY", "GREY"]:
        assert offered[name]["supported"] and offered[name]["sizes"], offered[name]
    assert any(not f["supported"] for f in offered.values()), offered
    display = next(d for d in said["displays"] if d["uri"] == "drm://card0/Virtual-1")
    assert display["connected"] and any(m.startswith("800x600@") for m in display["modes"]), display
    assert any(d["uri"].startswith("drm://card1/") for d in said["displays"]), said["displays"]
    assert any(o["uri"] == "v4l2:///dev/video2" for o in said["outputs"]), said["outputs"]


def refusals(record):
    for name, words in REFUSALS.items():
        code, lines, text = record.refusals[name]
        assert (code, lines) == (2, 1) and words in text, f"{name}: exit {code}, {lines} lines: {text}"
    print(f"  {len(REFUSALS)} mistakes: one line each, exit 2")


def consoles(seen):
    """The kernel's console is on the screen again, however a run ended."""
    for signal in ("TERM", "HUP", "ABRT", "KILL"):
        assert seen[f"during-{signal}"] != seen["before"], seen
        assert seen[f"after-{signal}"] == seen["before"], f"{signal}: {seen}"
    print(f"  the screen is that of {seen['before']} again after TERM, HUP, ABRT and KILL")


def _flips(text):
    return [(int(n), int(at)) for n, at in re.findall(r"page flip: vblank (\d+) at (\d+) us", text)]


def paced(text, trace):
    """Flips come at vertical blanks of their own, at the times that the kernel gives these."""
    flips = _flips(text)
    blanks = {int(n): int(at) for n, at in re.findall(r"drm_vblank_event: crtc=\d+, seq=(\d+), time=(\d+)", trace)}
    # Those that somebody waits for; the kernel has some of its own.
    events = re.findall(r"drm_vblank_event_delivered: file=(\w+), crtc=\d+, seq=(\d+)", trace)
    delivered = [int(n) for file, n in events if int(file, 16)]
    numbers = [number for number, _ in flips]
    assert len(flips) == FLIPS and delivered == numbers, f"{len(flips)} flips, {len(delivered)} events"
    assert all(a < b for a, b in zip(numbers, numbers[1:])), "two flips in one vertical blank"
    assert all(blanks[number] // 1000 == at for number, at in flips), "flips at times that are not the driver's"
    steps = [((b[1] - a[1]) / (b[0] - a[0]), b[0] - a[0]) for a, b in zip(flips, flips[1:])]
    rate = 1e6 / statistics.median(step for step, _ in steps)
    every = sum(1 for _, blanks in steps if blanks == 1)
    print(f"  {len(flips)} flips in {numbers[-1] - numbers[0] + 1} vertical blanks of {rate:.2f} Hz, {every} at the next")
    assert abs(rate / 59.94 - 1) < 0.02, f"{rate} Hz"


def latency(text, summary):
    """A frame is shown before as many others as the queue and the two threads hold."""
    flips = [at for _, at in _flips(text)]
    ages = [int(age) for age in re.findall(r"shown (\d+) us after its capture", text)]
    assert len(flips) == len(ages) == summary["shown"] and summary["captured"] == CAPTURED, summary
    assert summary["dropped"]["replaced"] > 0, f"the source is faster than the display, yet no frame was dropped: {summary}"
    ahead = QUEUE + 2
    spans = [(age, flips[i] - flips[i - ahead]) for i, age in enumerate(ages) if i >= ahead]
    over = sum(1 for age, span in spans if age > 1.1 * span)
    worst = max(age / span * ahead for age, span in spans)
    print(f"  latency: {len(spans)} frames, the worst {worst:.2f} frame times of {ahead} allowed, {over} over")
    # The machine may be held between the driver's stamp and the queue.
    assert over <= len(spans) // 20, f"{over} of {len(spans)} frames are too late"
