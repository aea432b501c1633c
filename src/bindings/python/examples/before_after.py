# %% [markdown]
# # Before and after
# A small picture, enlarged by the usual bicubic filter and by Bifocal. Run it whole, as
# `python before_after.py PICTURE [OUTPUT.png]`, or cell by cell in an editor that knows `# %%`.
# It needs Pillow: `pip install bifocal pillow`.

# %%
import sys
import time

import numpy as np
from PIL import Image, ImageDraw

import bifocal

# %% [markdown]
# What there is.

# %%
for model in bifocal.models():
    print(f"{model['name']:<24} x{model['scale']}  {model['parameters']:>8} parameters")

# %% [markdown]
# A picture is an array of height x width x 3.

# %%
picture = sys.argv[1] if len(sys.argv) > 1 else "tests/pictures/balcony.png"
output = sys.argv[2] if len(sys.argv) > 2 else "before-after.png"
small = np.asarray(Image.open(picture).convert("RGB"))[:360, :480]
print(small.shape, small.dtype)

# %% [markdown]
# What it takes: nothing is run yet.

# %%
size = (small.shape[1], small.shape[0])
plan = bifocal.plan("ctnet-small-x2", size, mem="32MiB")
print(f"{plan['total_bytes'] / 2**20:.1f} MiB of {plan['budget_bytes'] / 2**20:.0f}, {plan['macs_per_frame'] / 1e9:.1f} GMAC")

# %% [markdown]
# The first frame prepares the network; those after it only run it.

# %%
up = bifocal.Upscaler("ctnet-small-x2", mem="32MiB")
large = up(small)
start = time.perf_counter()
up(small, out=large)
print(up, large.shape, f"{1e3 * (time.perf_counter() - start):.0f} ms")

# %% [markdown]
# Side by side, with what the filter makes of it on the left.

# %%
before = Image.fromarray(small).resize((large.shape[1], large.shape[0]), Image.Resampling.BICUBIC)
both = Image.new("RGB", (2 * before.width + 8, before.height), "white")
both.paste(before, (0, 0))
both.paste(Image.fromarray(large), (before.width + 8, 0))
draw = ImageDraw.Draw(both)
for x, text in ((8, "bicubic"), (before.width + 16, up.model)):
    draw.text((x, 8), text, fill="white", stroke_width=2, stroke_fill="black")
both.save(output)
print(output)
