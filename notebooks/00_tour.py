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
# - Ruin a model with few bits, then mend it with the same bits: by range, by rounding, by *what* is sent.
# - Tell error, sparsity, accuracy and bytes apart. They do not always agree.
#
# **Needs** nothing. **Minutes** 10 to read, about 4 seconds to run in 410 MB of memory. **Words** in the [glossary](GLOSSARY.md).

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
# Three choices go with them: by which rule the clip is found (*max-abs*: the largest weight; *OCTAV*: the least squared
# error), how a weight is rounded to a level (*nearest*, or *stochastic*: up or down by chance, right on average), and what
# is sent: the weights, or their *differences* from those that came from the server.
#
# ## Predict
#
# Each client sends one bit a weight: two levels, at plus and minus the clip of least error, and a coin decides. In full
# precision the federation reaches 95 %. And now?

# %%
predict("00-one-bit")

# %% [markdown]
# Move the slider and press the button, or type `predict("00-one-bit", your_number)`. Then run the next cell.

# %%
reveal("00-one-bit")

# %% [markdown]
# ## Play
#
# Press the presets from left to right. Each changes one thing or two. Then drag **clip**, **bits** and **ε** yourself. The
# grey curve is your last setting, the dashed one is full precision.

# %% tags=["panel"]
panel = tour()
panel

# %% [markdown]
# Four things to find:
#
# 1. *2-bit max-abs*, *2-bit OCTAV* and *Stochastic* send the same bytes. One has about half of the digits right, one
#    almost 90 %. What did the middle one change?
# 2. At *Stochastic* move the clip from 1 to 1.3. The squared error grows. What does the accuracy do? Try it at *1 bit*,
#    up to 1.5.
# 3. *Differences*, one bit too, has the largest squared error of all, over 40 times the best, and full precision's accuracy.
#    Now set *Send* to *weights*. Which of the two was it, the range or what is sent?
# 4. Press *ε = 0.1*. The clip is twice too wide, so the top bit is rarely used. What does ε give back, and what does it
#    cost?
#
# ## Explain
#
# A link with ▸ sets the panel above to what it speaks of (in JupyterLab, once the panel's cell has run).
#
# The upload of one layer, as the library runs it once the layer's clip is found: round to codes, drop rare planes.

# %%
show_source(Clipped.encode)

# %% [markdown]
# Every setting has a ticket. Paste one into the panel and the same picture comes back: to the last bit on the same
# processor, elsewhere up to rounding, which a long training can turn into a few test images more or less.

# %%
panel.ticket

# %% [markdown]
# Why can [a wider clip ▸](#tour-1KX0VK8-JNCZ) be *worse* in squared error and *better* in accuracy? A clipped weight is
# always pulled towards zero. It is pulled again in every round. Rounding noise has no direction: with stochastic
# rounding it averages out over clients and rounds. The optimum for one tensor is not the optimum for thirty rounds. At
# one bit it cuts off half of the weights, and nothing is left but guessing, [10 % ▸](#tour-15H6G78-K31Z); half as wide
# again, most of the accuracy is back, [87 % ▸](#tour-1WZXY78-58MB). Lessons 03 to 05 take this apart.
#
# And the differences? They are about a twentieth of the weights. With the largest of them as range, nothing is cut. The
# noise is five times as large as a difference, but a third of a weight. Ten clients average it, and the next round's
# training sees what is left and corrects it: [96 % ▸](#tour-15H8SF0-FDVD). The idea is FedPAQ's.
#
# ## Check
#
# Find a setting that keeps 90 % accuracy or more with at most a twelfth of the bytes up. Paste its ticket.

# %%
check("00-ticket", ...)

# %% [markdown]
# Now on paper. Uploads fall from 32 bits to 1, downloads stay at 32. How many times less travels in all?

# %%
check("00-both-ways", ...)

# %% [markdown]
# ## Paper
#
# What the first paper's code implies, beside what this library measures. Where no number could be read in the paper,
# the table says *not public*, and the number is ours alone.

# %% tags=["nbval-check-output"]
table("clipped")

# %% [markdown]
# Two bits and a sign reach [0.911 ± 0.006](#claim-tour-two-bits) here, over three seeds, four points below full precision. Two
# bits with the range of the largest weight and nearest rounding fall to [0.477 ± 0.071](#claim-tour-max-abs).
#
# ## Quiz

# %%
quiz("00")

# %% [markdown]
# ## Remember
#
# - What looks like a cliff at few bits is a choice: of the range, of the rounding, and of what is sent.
# - Error and accuracy are two different things: the clip of least squared error is not the clip of best accuracy.
# - The way down is still 32 bit: even sixteenfold fewer bytes up are less than twofold in all.
#
# ## Next
#
# Lesson 01 takes the quantizer away: what does averaging do on its own, and when does it fail?
