# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 06 · Robust training
#
# *One model, any chip.*
#
# [![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/fqlab/fqlab/main?urlpath=lab/tree/notebooks/06_robust_training.ipynb)
#
# **Goals**
#
# - Train one model in a federation and deploy it at 2 to 32 bits.
# - Say what the kurtosis of a layer has to do with the width of the step.
# - Know when a robust model is robust, and when the range rule did the work.
#
# **Needs** lessons 02 and 03. **Minutes** 20 to read, about 6 seconds to run in 440 MB of memory. **Words** in the [glossary](GLOSSARY.md).

# %%
import numpy as np

from fqlab.lessons import check, hint, predict, quiz, reveal, show_source, solution
from fqlab.panels import figures, robustness
from fqlab.papers import table
from fqlab.papers.figures import figure
from fqlab.training.objectives import KurtosisPenalty, kurtosis

# %% [markdown]
# So far few bits travelled. Here all 32 travel. The rounding comes *after* training: one federated model lands on a
# phone with 8 bits, a watch with 4 and a sensor with 2. Nobody wants to train three models.
#
# Four changes of the local training try to help:
#
# - **KURE** adds a term that keeps the histogram of each layer flat;
# - **QAT** trains with weights rounded to one width, **MQAT** with a width drawn anew at every step;
# - **APQN** adds noise that looks like rounding.
#
# ## Predict
#
# More bits are better. Are they?

# %%
predict("06-upwards")

# %% [markdown]
# Move the slider and press the button, or type `predict("06-upwards", your_number)`. Then run the next cell.

# %%
reveal("06-upwards")

# %% [markdown]
# ## Play
#
# Press the presets from left to right. Then drag **bits of the chip**: that trains nothing, the picture follows at once.

# %% tags=["panel"]
panel = robustness()
panel

# %% [markdown]
# Three things to find:
#
# 1. *FedAvg* on a 2-bit chip: how many of its weights become 0? And with *KURE*?
# 2. *FedAvg, MSE range* and *KURE, MSE range*: what is left of KURE's lead?
# 3. *Wrong range*: a model trained for 2 bits, on a 2-bit chip. The range on the chip differs, and so do the levels in
#    use: three instead of four. What happens?
#
# ## Explain
#
# A link with ▸ sets the panel above to what it speaks of (in JupyterLab, once the panel's cell has run).
#
# The range of the largest weight makes the step of a $b$-bit chip $\Delta = \max|w|/(2^{b-1}-1)$. At two bits that is
# the largest weight itself: all weights below half of it become 0. So the question is how far the largest weight
# stands out. A number for it is the **kurtosis**,
#
# $$\mathrm{Kurt}[W]=\frac1n\sum_i\Big(\frac{w_i-\mu}{\sigma}\Big)^4,$$
#
# with the mean $\mu$ and the standard deviation $\sigma$ of the layer's $n$ weights. A uniform law has 1.8, a normal
# one 3, a Laplace law 6. KURE adds to the loss $\lambda$ times the mean over layers of $(\mathrm{Kurt}[W]-1.8)^2$.

# %%
show_source(kurtosis)

# %%
show_source(KurtosisPenalty)

# %% [markdown]
# Look at the right picture of the panel. Before the first round the kurtosis *is* about 1.8: PyTorch draws the first
# weights from a uniform law. Training makes them a bell: [4.3 ▸](#robustness-GEBR0-0MV6) in the first layer. KURE does
# not make weights flat, it keeps them flat, at [2.3 ▸](#robustness-5X5740-C9JJ). The term needs no data, so it pulls
# all clients the same way: it costs the federation nothing in agreement.
#
# Why is [a model trained ▸](#robustness-GPM5X8-BZF9) at 2 bits worse in full precision? QAT measures the loss at
# $Q(w)$, never at $w$. The weights behind the rounding may wander in their cells, and outside the clip even further.
# Only $Q(w)$ was trained.
#
# ## Check
#
# Write KURE's term for a list of layers, as NumPy arrays.


# %% tags=["exercise"]
def kure(layers, target):
    gaps = []
    for w in layers:
        z = ...  # TODO: mean 0, standard deviation 1, over all n entries
        gaps.append(...)  # TODO: (kurtosis - target)²
    return ...  # TODO: their mean


check("06-kurtosis", kure)

# %% [markdown]
# Stuck? `hint("06-kurtosis")` gives three hints, one by one; `solution("06-kurtosis")` gives it away.
#
# On paper: a layer's weights are −1, 0 and 1 with chances 1/8, 3/4 and 1/8. What is its kurtosis?

# %%
check("06-three-values", ...)

# %% [markdown]
# ## Paper
#
# We could read the abstract of the federated paper (Gupta and others, [arXiv 2206.10844](https://arxiv.org/abs/2206.10844)),
# but none of its tables; KURE is Shkolnik and others ([arXiv 2002.07686](https://arxiv.org/abs/2002.07686)). Its variants here follow the abstract, the
# patent claims and the methods they build on. So the rows below test *statements*, on digits.

# %% tags=["nbval-check-output"]
table("robust")

# %% [markdown]
# What the runs say, over three seeds:
#
# - Trained at 2 bits the model reaches [90.2 ± 2.0](#claim-robust-qat-home) % there, and [76.9 ± 4.8](#claim-robust-qat-away) % in
#   full precision. Over ten seeds it falls by [14 ± 10](#claim-robust-brittle-upwards) points. KURE's authors saw a fall of
#   [38.3](#claim-robust-brittle-upwards): a ResNet-18 trained with weights and activations of 4 bits. Ours is *weaker*.
# - With the range of the largest weight KURE gains [38 ± 20](#claim-robust-kure-max-abs) points at 2 bits, over ten seeds,
#   and [39.7](#claim-robust-kure-max-abs) in its paper. That they are so close is chance: our seeds differ by tens of points.
# - With ranges of least squared error it gains [-0.5 ± 3.1](#claim-robust-kure-mse): nothing.
# - In a larger federation, trained longer, FedAvg keeps [44 ± 26](#claim-robust-fedavg-2) % at 2 bits and
#   KURE [93.6 ± 1.7](#claim-robust-kure-2) %. The abstract calls all variants more robust. For KURE it holds; for QAT, APQN
#   and MQAT it is *not seen*: their seeds differ as much as FedAvg's.
# - A ResNet-20 on CIFAR-10 loses [4.0 ± 1.7](#claim-robust-cifar-kept-fedavg) points to rounding, averaged over 8, 6, 4, 3 and
#   2 bits, and nearly all of them at 2 bits. With KURE it loses [-0.2 ± 1.2](#claim-robust-cifar-kure) points less: *not seen*.
#
# KURE's authors published how the target matters. Left their values, right the same question asked of our federation.

# %%
figure("06-targets")

# %% [markdown]
# *Left: ResNet-18 on ImageNet, weights only, values of the authors' notebook. Ours, right: digits, 10 clients, 20
# rounds, λ = 0.1, range of the largest weight, mean of two seeds.*

# %% [markdown]
# And the figure that the federated paper is about: accuracy against the bits of the chip, one line a method, on digits,
# [on Fashion-MNIST ▸](#figures-1100-W75D) and for [a ResNet-20 on CIFAR-10 ▸](#figures-16G0-GTKF). The target once more, [theirs as stars ▸](#figures-1C00-V0BC). Hover over
# a point for its set-up. Click one, or walk along with *Point*: the card names the row above that it bears on, the line
# below holds its experiment, and *Run it again* computes it here and now.

# %% tags=["panel"]
paper = figures(figure="06-widths")
paper

# %% [markdown]
# ## Quiz

# %%
quiz("06")

# %% [markdown]
# ## Remember
#
# - Rounding to few bits with the range of the largest weight ruins layers whose largest weight stands out.
# - A term on kurtosis keeps layers flat without data; with ranges of least squared error its lead is gone.
# - A model trained at one width is at home there only: other widths, and another range, can be worse, upwards too.
#
# ## Next
#
# All of this rounds weights alone. Activations, and the accumulators between them, are rounded on real chips too. And
# nobody has shown that a robust model stays robust when its clients' labels differ: set **Labels** to skewed.
# Lesson 07 looks at weights as stacks of bits.
