"""What `--branches auto` saves and what it costs, at efforts from 0 to 100: a table and a plot for the model card.

    models/effort models/ctnet-tiny-x2.onnx --bifocal target/release/bifocal --plot models/effort.svg FOLDER...

For each folder of pictures: the share of the multiply-adds of both branches, with what windows need of their neighbours, and
how much lower the PSNR is, in the mean and in the worst picture of those that both branches leave below 45 dB.
"""

import argparse
import json
import subprocess
from pathlib import Path

EFFORTS = 0, 10, 20, 30, 40, 50, 60, 70, 75, 80, 90, 100  # 75 is the default
SEEN = 45  # dB; above nobody sees what is lost
COLOURS = "#1b6ca8 #c4461f #3a7d44 #7a4fa3 #8a6d1d #444444".split()
WIDTH, HEIGHT, LEFT, TOP = 560, 320, 56, 16


def evaluate(program, *arguments):
    done = subprocess.run([program, "eval", *map(str, arguments), "--format", "json"], check=True, capture_output=True)
    return json.loads(done.stdout)


def measure(program, file, folder):
    """Share, mean loss, mean and worst loss below 45 dB, for each effort."""
    both = {image["name"]: image["psnr_y"] for image in evaluate(program, folder, "-m", file)["images"]}
    for effort in EFFORTS:
        made = evaluate(program, folder, "-m", file, "--branches", "auto", "--effort", effort)
        lost = {image["name"]: image["psnr_y"] - both[image["name"]] for image in made["images"]}
        below = [lost[name] for name, psnr in both.items() if psnr < SEEN]
        mean = lambda values: sum(values) / len(values)
        yield effort, made["mean_macs_share"], mean(list(lost.values())), mean(below), min(below)


def plot(curves):
    """SVG: what is lost against what is done."""
    deepest = 0.3
    x = lambda share: LEFT + share * (WIDTH - LEFT - 16)
    y = lambda lost: TOP + min(-min(lost, 0), deepest) / deepest * (HEIGHT - TOP - 44)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 12} {HEIGHT}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH + 12}" height="{HEIGHT}" fill="white"/>',
    ]
    for tenth in range(0, 11, 2):
        at = x(tenth / 10)
        out.append(f'<path d="M{at:.1f} {TOP}V{HEIGHT - 44}" stroke="#ddd"/>')
        out.append(f'<text x="{at:.1f}" y="{HEIGHT - 28}" text-anchor="middle">{10 * tenth} %</text>')
    for lost in (0, 0.1, 0.2, 0.3):
        out.append(f'<path d="M{LEFT} {y(-lost):.1f}H{WIDTH - 16}" stroke="#ddd"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y(-lost) + 4:.1f}" text-anchor="end">{-lost:.1f} dB</text>')
    for index, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[index % len(COLOURS)]
        shown = [(x(share), y(below)) for _, share, _, below, _ in curve if below > -deepest]
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in shown)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        out += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.5" fill="{colour}"/>' for a, b in shown]
        out.append(f'<text x="{WIDTH - 24}" y="{HEIGHT - 60 - 15 * index}" text-anchor="end" fill="{colour}">{name}</text>')
    axis = "multiply-adds over those of both branches"
    out.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{axis}</text></svg>')
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path, nargs="+")
    parser.add_argument("--bifocal", required=True, help="the program")
    parser.add_argument("--plot", type=Path, help="an SVG to write")
    args = parser.parse_args()
    curves = {folder.name: list(measure(args.bifocal, args.file, folder)) for folder in args.folder}
    print("| effort |", " | ".join(curves), "|")
    print("| --- |", " | ".join(["---"] * len(curves)), "|")
    for row in zip(*curves.values()):
        cells = [f"{share:.0%}, {mean:+.3f} dB ({below:+.3f}, {worst:+.2f})" for _, share, mean, below, worst in row]
        print(f"| {row[0][0]} |", " | ".join(cells), "|", flush=True)
    if args.plot:
        args.plot.write_text(plot(curves))


if __name__ == "__main__":
    main()
