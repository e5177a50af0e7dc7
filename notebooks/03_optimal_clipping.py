# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 · Optimal clipping
#
# *Throw away the largest weights and gain.*
#
# [![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/fqlab/fqlab/main?urlpath=lab/tree/notebooks/03_optimal_clipping.ipynb)
#
# **Goals**
#
# - See the two errors that a clip trades against each other.
# - Find the best clip in a few steps, without sorting and without a sweep.
# - Know when the recipe is wrong: another grid, outliers.
#
# **Needs** lesson 02. **Minutes** 25 to read and play, about 4 seconds to run in 460 MB of memory. **Words** in the [glossary](GLOSSARY.md).

# %%
import numpy as np
import torch

from fqlab.lessons import check, hint, predict, quiz, reveal, show_source, solution
from fqlab.panels import clipping, figures
from fqlab.papers import table
from fqlab.papers.figures import figure
from fqlab.quant import Grid, clip_for, expected_mse, octav, octav_update

# %% [markdown]
# Four bits are sixteen levels. Where do you put them? The obvious answer: stretch them to the largest weight, so that
# every weight finds a level nearby. That rule is called *max-abs*. It hurts nobody much, it seems.
#
# The other answer is a **clip** $s$, smaller than the largest weight. Weights beyond $\pm s$ are cut off and become
# $\pm s$. That hurts the largest weights badly.
#
# ## Predict
#
# A million bell-shaped weights, 4 bits, squared error. How many times smaller does the error get if we clip at the
# best place? Below 1 means: it gets larger.

# %%
predict("03-clip-gain")

# %% [markdown]
# Move the slider and press the button, or type `predict("03-clip-gain", your_number)`. Then run the next cell.

# %%
reveal("03-clip-gain")

# %% [markdown]
# ## Play
#
# Drag **clip** to the left, on its slider or in the picture, until the error is lowest. The standard deviation of the
# weights is σ; the clip is given in σ. Everything shaded is cut off.

# %% tags=["panel"]
panel = clipping()
panel

# %% [markdown]
# Four things to find:
#
# 1. At the best clip, how many weights are cut, and how much of the error do they make?
# 2. Press *OCTAV, step 2* and walk on with the arrow keys. The purple curve is what the algorithm believes. Where
#    does each step land?
# 3. Press *Bad start*. One step from max |w| leads to a strange place. Does it matter?
# 4. Press *Outliers*. Why does OCTAV stay where it is?
#
# ## Explain: two errors
#
# A link with ▸ sets the panel above to what it speaks of (in JupyterLab, once the panel's cell has run).
#
# A weight within the clip is rounded. A weight beyond it is cut. The mean squared error has two terms:
#
# $$J(s)=\underbrace{c\,s^2\,P(|w|\le s)}_{\text{rounding}}+\underbrace{E\big[(|w|-s)^2;\ |w|>s\big]}_{\text{clipping}}$$
#
# Rounding makes an error of $\Delta^2/12$ on average. The step $\Delta$ is proportional to $s$, so that is $c\,s^2$.
# The constant $c$ depends on the grid: for $\Delta=2s/2^b$ it is $4^{-b}/3$. A smaller clip makes *all small weights*
# more exact. There are many of them.

# %% tags=["nbval-check-output"]
weights = torch.randn(10**6, generator=torch.Generator().manual_seed(0))
for rule in ("max_abs", "percentile", "aciq_gauss", "octav"):
    clip = clip_for(rule, weights, Grid(4))
    print(f"{rule:10}  clip {clip:.2f} σ, error {expected_mse(weights, clip, Grid(4)):.4f} σ²")

# %% [markdown]
# Over five such samples clipping makes the error [3.0 ± 0.2](#claim-octav-gain-4) times smaller. The more weights there are,
# the larger the largest of them, and the more there is to gain. In bits: at the same error, the panel's 4096 weights take
# [0.55 bit ▸](#clipping-18797K0-400V) more each if nothing is clipped (lower right).
#
# ### OCTAV in one line
#
# Where is $J$ lowest? Hold fast, for a moment, *who* is clipped. Then $J$ is a parabola in $s$, and its lowest point
# is known at once. That is the next clip. Now somebody else is clipped; repeat. This is Newton's method, and the
# library's whole step is one line:

# %%
show_source(octav_update)

# %% [markdown]
# Here `tail` is the sum of $|w|$ beyond $s$, `outside` and `inside` count the weights beyond and within, and `noise`
# is $c$:
#
# $$s\leftarrow\frac{\sum_{|w|>s}|w|}{c\cdot\#\{0<|w|\le s\}+\#\{|w|>s\}}$$
#
# Zeros are not counted. OCTAV's grid has a level at 0, so a zero makes no error.
#
# From [the largest weight ▸](#clipping-18SFJBG-VZ3F) nothing is clipped, the numerator is 0, and the first step falls
# to 0. The second step lands on the mean of $|w|$: a bad start costs [two steps ▸](#clipping-18SFT5G-92QH), no more.
#
# ### The textbook's constant
#
# OCTAV's paper (Sakr and others, [arXiv 2206.06501](https://arxiv.org/abs/2206.06501)) takes the constant $4^{-b}/3$. It belongs to a grid with step $2s/2^b$. Many systems use other grids. At 2 bits the
# *narrow* grid has three levels $-s, 0, s$ and a step of $s$, twice as wide as the constant believes. What does the
# wrong constant cost? `level_aware` takes $c$ from the grid and the rounding that are really used.

# %% tags=["nbval-check-output"]
three = Grid(2, "narrow")
for rounding in ("nearest", "stochastic"):
    for level_aware in (False, True):
        clip = octav(weights, three, rounding, level_aware=level_aware)
        print(f"{rounding:10}  {'own c' if level_aware else 'textbook c':10}  clip {clip:.2f} σ, "
              f"error {expected_mse(weights, clip, three, rounding):.3f} σ²")  # fmt: skip

# %% [markdown]
# [The textbook's clip ▸](#clipping-CXX8M8-AK64) is [37.5](#claim-octav-textbook-narrow) % above the lowest error, and
# with stochastic rounding [85.8](#claim-octav-textbook-dithered) %. Stochastic rounding doubles the noise, and the
# constant does not know. One number mends both: with its own $c$ OCTAV is within [1.6](#claim-octav-level-aware) % of
# the best on this grid.
#
# ## Check
#
# Write one OCTAV update: fill in what says TODO.


# %% tags=["exercise"]
def octav_step(x, s, c):
    tail = ...  # TODO: the sum of |x| over those beyond s
    inside = ...  # TODO: how many lie within s, zeros left out
    outside = ...  # TODO: how many lie beyond
    return ...  # TODO: the next clip, and s itself where it would be 0/0


check("03-octav-step", octav_step)

# %% [markdown]
# Stuck? `hint("03-octav-step")` asks a question, then shows the formula, then the first line;
# `solution("03-octav-step")` gives it away.
#
# On paper: the narrow grid at 2 bits has the levels $-s$, 0 and $s$. With *stochastic* rounding, what is $c$ in $c\,s^2$?

# %%
check("03-constant", ...)

# %% [markdown]
# ## Paper
#
# The published constants beside this library's, and what we found beyond them.

# %% tags=["nbval-check-output"]
table("octav")

# %% [markdown]
# The paper's Figure 1 (a) shows two layers of ResNet-50. Here it is again with the two layers of our digits network.
# The right part sets the constants of ACIQ, OCTAV's older sibling, beside ours: a normal law at 4 bits is to be
# clipped at [2.559](#claim-aciq-gauss-4) σ (ACIQ) or [2.562](#claim-octav-gauss-4) σ (OCTAV). They differ because ACIQ
# charges rounding noise to clipped weights too.

# %%
figure("03-clips")

# %% [markdown]
# One thing is easy to miss: the paper always makes ten updates. At 8 bits that is not quite enough, and the clip of a
# normal law is [3.905](#claim-octav-ten-updates-8) σ instead of 3.924 σ. This library makes $b+6$.
#
# And one thing is in its appendix: with large outliers the true error has a second valley, at the far end, where all
# small weights become zero. OCTAV cannot see it. A sweep can, and clips [6.4](#claim-octav-outliers) times further out
# in our example; for the activations of a layer of BERT it was [4.75](#claim-octav-outliers) times. The paper found that networks
# train better with OCTAV's.

# %% [markdown]
# The same figure once more, with points that answer: the error of both layers at twelve clips. The stars ([the
# first ▸](#figures-1G-28XW)) are where OCTAV stops on two layers of the paper's ResNet-50, read off a public
# reproduction. Hover over a point for its set-up. Click one, or walk along with *Point*: the card names the row above
# that it bears on, the line below holds its experiment, and *Run it again* computes it here and now.

# %% tags=["panel"]
paper = figures(figure="03-mse")
paper

# %% [markdown]
# ## Quiz

# %%
quiz("03")

# %% [markdown]
# ## Remember
#
# - A clip trades a large error of few weights for a small error of many, and mostly wins.
# - OCTAV finds the best clip in a few steps, if its constant $c$ belongs to the grid and the rounding in use.
# - The gain is one of codes of fixed length. Dotted, in the panel: an entropy coder would have it without a clip.
#
# ## Next
#
# The clip is best for *one* tensor, *once*. In a federation the weights are clipped in every round, always towards
# zero. Lesson 04 makes rounding fair, and lesson 05 shows what clipping thirty times does. What a clip is worth behind an
# entropy coder is a question for lesson 10.
