# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 02 · Uniform quantization
#
# *What “b bits” really means.*
#
# [![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/fqlab/fqlab/main?urlpath=lab/tree/notebooks/02_uniform_quantization.ipynb)
#
# **Goals**
#
# - Turn a weight into a code and back, and know the step, the levels and the error.
# - Predict the error of $b$ bits from one formula, and see where the formula fails.
# - Compare two papers that both say “2 bit”.
#
# **Needs** lesson 00. **Minutes** 20 to read and play, about 4 seconds to run in 400 MB of memory. **Words** in the [glossary](GLOSSARY.md).

# %%
import numpy as np
import torch

from fqlab.lessons import check, hint, predict, quiz, reveal, show_source, solution
from fqlab.panels import quantizer
from fqlab.papers import table
from fqlab.papers.figures import figure
from fqlab.quant import KINDS, Grid, expected_mse, quantize
from fqlab.quant.codes import grid_index

# %% [markdown]
# A computer stores a weight in 32 bits. We have two. So we write down a short list of *levels*, and send for each
# weight only the number of its nearest level, the *code*. If the levels are equally spaced, this is *uniform
# quantization*. It sounds too simple to disagree about.
#
# ## Predict
#
# BSQ, one of the papers of this course ([arXiv 2102.10462](https://arxiv.org/abs/2102.10462)), trains networks in which many layers have 2-bit weights. How many different
# values can such a weight take?

# %%
predict("02-levels")

# %% [markdown]
# Move the slider and press the button, or type `predict("02-levels", your_number)`. Then run the next cell.

# %%
reveal("02-levels")

# %% [markdown]
# ## Play
#
# Five grids, all of them “2 bit”. The grey hills are the weights, the blue ticks the levels, the dashed line is one
# weight. Move **one weight**, or drag it in the picture, and watch it travel to a different level on each grid. Weights
# are measured in standard deviations, σ.

# %% tags=["panel"]
panel = quantizer()
panel

# %% [markdown]
# Four things to find:
#
# 1. Press *1 bit*. Which grid has a single level? Which “1-bit” weights have three?
# 2. Press *Out of reach*. Why does two's complement miss this weight by so much?
# 3. Press *Own clips*, *As stored* and *By levels*, one after the other, and watch the picture at the lower right.
# 4. Press *Δ²/12*, and compare the two numbers in the status line.
#
# ## Explain
#
# A link with ▸ sets the panel above to what it speaks of (in JupyterLab, once the panel's cell has run).
#
# A grid is cut off at a **clip** $s$: weights beyond $\pm s$ become $\pm s$. Between $-s$ and $s$ lie the levels, one
# **step** $\Delta$ apart. On the *mid-rise* grid $2^b$ levels have $2^b-1$ gaps, so
#
# $$\Delta=\frac{2s}{2^b-1},\qquad k=\mathrm{round}\Big(\frac{\mathrm{clip}(w)+s}{\Delta}\Big),\qquad \hat w=k\,\Delta-s.$$
#
# The code $k$ is a whole number from 0 to $2^b-1$. The other grids differ in where they put 0 and their ends. In the
# library one line serves all of them: it says where on the ladder a weight stands, before rounding.

# %%
show_source(grid_index)

# %% [markdown]
# Here are the five, with $s=1$:

# %% tags=["nbval-check-output"]
for grid in [Grid(2, kind) for kind in KINDS]:
    levels = grid.decode(torch.arange(grid.low, grid.high + 1), torch.tensor(1.0))
    words = "  ".join(f"{level:5.2f}" for level in levels.tolist())
    print(f"{grid.kind:15}  {grid.levels} levels in {grid.code_bits} bit, step {grid.step(1.0):.2f}:  {words}")

# %% [markdown]
# - [*Mid-rise* ▸](#quantizer-1QA00F0-KD43) has [4](#claim-grids-levels-midrise) levels and none at 0. The
#   clipped-quantization paper uses it.
# - [*Two's complement* ▸](#quantizer-205QV50-7M5A) is what integer hardware stores: also four, but the top one is
#   missing.
# - [*Narrow* ▸](#quantizer-1EE85S0-WQBT) drops the lowest one too, to be symmetric: [3](#claim-grids-levels-narrow)
#   levels.
# - [*OCTAV's* ▸](#quantizer-291FNV0-2YR6) formula, taken literally, keeps both ends: [5](#claim-grids-levels-octav)
#   levels, which take 3 bits to
#   store.
# - [*Sign-magnitude* ▸](#quantizer-2HX7GH0-8MNW), in BSQ and FedMPQ, counts the bits of $|w|$ alone. The sign comes on
#   top:
#   [7](#claim-grids-levels-bsq) levels, again 3 bits to store.
#
# ### One formula for the error
#
# A weight is somewhere within $\pm\Delta/2$ of its level. If every place there is equally likely, the mean squared
# error is $\Delta^2/12$. One bit more halves $\Delta$, and the error falls to a quarter.

# %% tags=["nbval-check-output"]
draws = torch.Generator().manual_seed(0)
for law, x in (
    ("uniform", 2 * torch.rand(10**6, generator=draws) - 1),
    ("normal", torch.randn(10**6, generator=draws)),
):
    for grid, s in ((Grid(4), 1.0), (Grid(4), 2.5), (Grid(2), 1.5)):
        mse = float(expected_mse(x, torch.tensor(s), grid))
        print(f"{law:7}  {grid.bits} bit, clip {s}: error {mse:.5f}, Δ²/12 {grid.step(s) ** 2 / 12:.5f}")

# %% [markdown]
# The formula is right for uniform weights that fill the grid: [1.00](#claim-grids-twelfth-uniform) times. It knows
# nothing of weights beyond the clip. For bell-shaped weights on four levels, at the best clip there is, the error is
# [1.44](#claim-grids-twelfth-normal) times $\Delta^2/12$. Where that best clip lies is the topic of lesson 03.
#
# ### A free bit
#
# Now compare two grids “at 2 bit”, each at the clip that OCTAV finds for it (lesson 03; within 1.5 % of the least
# error). Mid-rise makes [2.54](#claim-grids-free-bit) times the error of sign-magnitude. Is sign-magnitude the better
# idea? No. It has almost twice as many levels. Plotted against the number of levels all five grids lie close to one
# line: at 2 bits their errors differ [1.3-fold ▸](#quantizer-1VQVZRG-ZYGZ) instead of
# [4-fold ▸](#quantizer-1VQVXT0-APM3), at 4 bits [hardly at all ▸](#quantizer-4MDAAMG-XFSW).
#
# In a federation the free bit is the difference between learning and not learning. Ten clients, thirty rounds of
# handwritten digits, each grid at its OCTAV clip, rounding to nearest, and all of them “2 bit”: narrow ends at
# [0.43 ± 0.07](#claim-grids-fed-narrow), two's complement at [0.66 ± 0.06](#claim-grids-fed-twos), mid-rise at
# [0.78 ± 0.03](#claim-grids-fed-midrise), OCTAV's grid at [0.85 ± 0.01](#claim-grids-fed-octav), sign-magnitude at
# [0.87](#claim-grids-fed-bsq). Give narrow an honest third bit and it has the same seven levels as sign-magnitude. The
# difference is then [0.00](#claim-grids-fed-same).
#
# ## Check
#
# Write the mid-rise quantizer: fill in what says TODO.


# %% tags=["exercise"]
def midrise(w, s, b):
    step = ...  # TODO: 2**b levels from -s to s have how many gaps? (in Python the power is **)
    codes = ...  # TODO: clip w, count the steps from -s, round
    return ...  # TODO: the levels that the codes stand for


check("02-midrise", midrise)

# %% [markdown]
# Stuck? `hint("02-midrise")` and `solution("02-midrise")` help. The library's own answer, to compare with:

# %% tags=["nbval-check-output"]
codes = quantize(torch.tensor([-2.0, -0.3, 0.05, 0.8]), 1.0, Grid(2))
print(codes.values.tolist(), [round(value, 4) for value in codes.dequantize().tolist()])

# %% [markdown]
# On paper: weights are spread evenly over ±0.5. How many bits does the mid-rise grid with clip 0.5 need at least for a mean
# squared error of at most 1/12000?

# %%
check("02-how-many-bits", ...)

# %% [markdown]
# ## Paper
#
# Three papers and a convention, four answers, and the classical numbers of Max (1960) for four equally spaced levels.

# %% tags=["nbval-check-output"]
table("grids")

# %% [markdown]
# Max's table again, as rings, on the error curves of all five grids. The dashed line is Shannon's bound: no code of
# that many bits can err less, however clever.

# %%
figure("02-bits")

# %% [markdown]
# ## Quiz

# %%
quiz("02")

# %% [markdown]
# ## Remember
#
# - $b$ bits are a convention; the number of levels is a fact.
# - A step $\Delta$ costs $\Delta^2/12$ for weights within the clip, and one bit more cuts that to a quarter.
# - Compare methods by what a code takes to store, and say whether the sign is in it.
#
# ## Next
#
# The clip was chosen for you here. Lesson 03 chooses it. And five levels stored in 3 bits waste three of eight codes:
# lesson 10 gets them back with an entropy coder.
