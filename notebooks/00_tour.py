# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 00 · The tour
#
# *Change three numbers, watch a whole federation answer.*
#
# [![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/fqlab/fqlab/main?urlpath=lab/tree/notebooks/00_tour.ipynb)
#
# **Goals**
#
# - See the pipeline of quantized federated learning from a weight to an accuracy.
# - Find the cliff: which setting ruins the model, and which looks dangerous but is not.
# - Tell error, sparsity, accuracy and bytes apart. They do not always agree.
#
# **Needs** nothing. **Minutes** 10 to read, about 17 seconds to run. **Words** in the [glossary](GLOSSARY.md).

# %%
from fqlab.lessons import check, hint, predict, quiz, reveal, show_source, solution
from fqlab.methods.clipped import Clipped
from fqlab.panels import tour
from fqlab.papers import table

# %% [markdown]
# Ten clients learn to read handwritten digits. Nobody shows their images. Each client trains a small network, sends
# its weights to a server, and gets the average back. That is one *round*.
#
# A weight is usually a 32-bit number. *Quantized* federated learning sends far fewer bits. Three numbers decide how:
#
# - the **clip** *s*: weights beyond ±*s* are cut off;
# - the **bits** *b*: how many levels lie between −*s* and *s*;
# - **ε**: how rare the top bit of a layer must be before it is dropped.
#
# ## Predict
#
# Each client sends 2 bits and a sign a weight. In full precision the federation reaches 95 %. And now?

# %%
predict("00-two-bits")

# %% [markdown]
# Move the slider and press the button, or type `predict("00-two-bits", your_number)`. Then run the next cell.

# %%
reveal("00-two-bits")

# %% [markdown]
# ## Play
#
# Press the presets from left to right. Then drag **clip**, **bits** and **ε** yourself. The grey curve is your last
# setting, the dashed one is full precision.

# %% tags=["panel"]
panel = tour()
panel

# %% [markdown]
# Three things to find:
#
# 1. With two bits and a sign almost nothing is lost. The cliff is elsewhere. Where?
# 2. Choose *2-bit dithered*, then method *OCTAV clip*. Now move the clip from 1 to 1.3. What happens to the error?
#    What happens to the accuracy?
# 3. Press *ε = 0.1*. The clip is twice too wide, so the top bit is rarely used. What does ε give back?
#
# ## Explain
#
# The upload of one layer, as the library runs it: find a clip, round to codes, drop rare planes.

# %%
show_source(Clipped.encode)

# %% [markdown]
# Every setting has a ticket. Paste one into the panel and the same picture comes back: to the last bit on the same
# processor, elsewhere up to rounding, which a long training can turn into a few test images more or less.

# %%
panel.ticket

# %% [markdown]
# Why can a wider clip be *worse* in squared error and *better* in accuracy? A clipped weight is always pulled towards
# zero. It is pulled again in every round. Rounding noise has no direction: with stochastic rounding it averages out
# over clients and rounds. The optimum for one tensor is not the optimum for thirty rounds. Lessons 03 to 05 take this
# apart.
#
# ## Check
#
# Find a setting that keeps 90 % accuracy or more with at most a tenth of the bytes up. Paste its ticket.

# %%
check("00-ticket", ...)

# %% [markdown]
# ## Paper
#
# What the first paper's code implies, beside what this library measures. Where no number could be read in the paper,
# the table says *not public*, and the number is ours alone.

# %% tags=["nbval-check-output"]
table("clipped")

# %% [markdown]
# Two bits and a sign reach [0.911](#claim-tour-two-bits) here, over three seeds. Two bits with the range of the
# largest weight and nearest rounding fall to [0.477](#claim-tour-max-abs).
#
# ## Quiz

# %%
quiz("00")

# %% [markdown]
# ## Remember
#
# - Few bits are harmless if the rounding is fair and the range is right.
# - Error, sparsity, accuracy and bytes are four different things.
# - The way down is still 32 bit: tenfold fewer bytes up are less than twofold in all.
#
# ## Next
#
# Lesson 01 takes the quantizer away: what does averaging do on its own, and when does it fail?
