# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04 · Stochastic rounding
#
# *Be wrong on purpose, together right.*
#
# [![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/fqlab/fqlab/main?urlpath=lab/tree/notebooks/04_stochastic_rounding.ipynb)
#
# **Goals**
#
# - Tell bias from chance, and know which of the two an average removes.
# - Say for how many clients stochastic rounding pays, and when it never does.
# - Write stochastic rounding without its four usual mistakes.
#
# **Needs** lesson 02. **Minutes** 20 to read, about 4 seconds to run in 390 MB of memory. **Words** in the [glossary](GLOSSARY.md).

# %%
import numpy as np

from fqlab.lessons import check, hint, predict, quiz, reveal, show_source, solution
from fqlab.panels import rounding
from fqlab.papers import table
from fqlab.papers.figures import figure
from fqlab.quant import Grid
from fqlab.quant.codes import stochastic_round
from fqlab.studies.rounding import mse_parts_of_mean, uniform

# %% [markdown]
# A value lies between two levels of a grid, a step **Δ** apart. *Nearest* rounding goes to the closer one. It is the
# best that a single client can do. *Stochastic* rounding throws a coin: up with probability **f**, down with 1 − f,
# where f is how far up the value lies between the levels, from 0 to 1.
#
# So it sometimes goes to the level that is farther away. On purpose. Who would do that?
#
# ## Predict
#
# Errors are squared errors, averaged over values spread evenly over the grid. First one client alone.

# %%
predict("04-one")

# %% [markdown]
# Move the slider and press the button, or type `predict("04-one", your_number)`. Then run the next cell.

# %%
reveal("04-one")

# %% [markdown]
# Now thirty clients that hold the same values. Each rounds for itself, the server takes the mean.

# %%
predict("04-thirty")

# %%
reveal("04-thirty")

# %% [markdown]
# ## Play
#
# Each client sends a picture with **one bit** a pixel: black or white. The server averages what it gets. Move
# **Clients M** from 1 to 100 and look at the two pictures on the right. Then press the presets.

# %% tags=["panel"]
panel = rounding()
panel

# %% [markdown]
# Four things to find:
#
# 1. From how many clients on is the stochastic mean the better one? The star marks it.
# 2. *One draw for all*. The coins are fair, yet nothing clears up. Why?
# 3. *Clients differ*. Now nearest wins, with thirty clients. Move **Clients differ by** back to 0 slowly: where does it
#    turn?
# 4. *Clip too tight*. A hundred clients, and part of the stochastic error stays. Which part of the picture is wrong?
#
# ## Explain
#
# A link with ▸ sets the panel above to what it speaks of (in JupyterLab, once the panel's cell has run).
#
# The error of the mean has two parts. **Bias** is what all clients get wrong alike; averaging keeps it. **Chance** is
# what each gets wrong for itself; the mean of M clients divides its square by M.
#
# Nearest rounding of one value is all bias: everyone goes to the same level. Over a cell the error runs evenly from
# −Δ/2 to Δ/2, so its square is $\Delta^2/12$ on average. It stays there, with thirty clients or a million.
#
# Stochastic rounding is all chance: up with probability f, the mean is the value itself. One rounding has the variance
# $\Delta^2 f(1-f)$. Averaged over a cell,
#
# $$\int_0^1 \Delta^2 f(1-f)\,df = \frac{\Delta^2}{6}, \qquad\text{and for the mean of } M \text{ clients } \frac{\Delta^2}{6M}.$$
#
# Twice the error [alone ▸](#rounding-297R0-S7BK), the same with two clients, fifteen times less with
# [30 clients ▸](#rounding-2B0CG-RJ1S). The library agrees, in units of Δ²:

# %% tags=["nbval-check-output"]
for name in ("nearest", "stochastic"):
    part = mse_parts_of_mean(uniform(), 1.5, Grid(2), name)  # clip 1.5 at 2 bits: a step of 1
    mse = ", ".join(f"M = {m}: {part.mse(m):.4f}" for m in (1, 2, 30))
    print(f"{name:10}  {mse}")

# %% [markdown]
# The rule in the library is one line. A whole number stays where it is. A draw of its own for every value:

# %%
show_source(stochastic_round)

# %% [markdown]
# **When clients differ.** Real clients do not hold the same value. If their values differ by a step or more, some lie
# above the middle of a cell and some below. Their nearest roundings then err in both directions, and cancel. The
# clients' own spread does the work of the coin; engineers call such noise a *dither*. Then only the size of the single
# error counts, and [nearest has half of it ▸](#rounding-ASNAWG-JBZZ): [0.50 ± 0.01](#claim-rounding-dither).
#
# **Not fair beyond the clip.** A value outside ±s goes to the last level, whatever the coin says. That is bias, and
# [no number of clients ▸](#rounding-5ATSG-1Y49) removes it.
#
# **In a federation.** Weights of different clients differ by far less than a step once the bits are few. Two bits, the
# range of the largest weight, thirty rounds on digits: nearest rounding ends at
# [0.477 ± 0.071](#claim-rounding-fed-nearest), stochastic at [0.897 ± 0.028](#claim-rounding-fed-stochastic).
#
# ## Check
#
# Write it yourself: a function of `x`, in units of the step, and of `u`, uniform draws of the same shape. Fill in
# the TODOs. `hint("04-round")` helps in three steps, `solution("04-round")` shows one answer.


# %% tags=["exercise"]
def round_by_chance(x, u):
    below = ...  # TODO: the level below
    return ...  # TODO: one level up where the draw u is below the fraction


check("04-round", round_by_chance)

# %% [markdown]
# On paper: all clients hold the same value, 0.3 of a step above a level. How many of them must round by chance until their mean
# is off by no more than 0.1 step, as a root mean square?

# %%
check("04-how-many-clients", ...)

# %% [markdown]
# ## Paper
#
# Two papers made stochastic rounding the tool of distributed learning. Suresh and others
# ([arXiv 1611.00429](https://arxiv.org/abs/1611.00429)) asked how well a server can
# estimate the *mean* of vectors from few bits. With one bit, clients send the largest or the smallest of their numbers,
# and the error has an exact formula; we measure [1.00](#claim-rounding-suresh) times its value. QSGD
# ([arXiv 1610.02132](https://arxiv.org/abs/1610.02132)) did the same for gradients.

# %% tags=["nbval-check-output"]
table("rounding")

# %% [markdown]
# QSGD explains the rule with a drawing of five levels, its Figure 1. Here it is with data.

# %%
figure("04-levels")

# %% [markdown]
# ## Quiz

# %%
quiz("04")

# %% [markdown]
# ## Remember
#
# - Averaging removes chance and keeps bias; stochastic rounding turns bias into chance.
# - Alone it doubles the squared error, with two clients it breaks even, and from there on it wins while clients agree.
# - Clients that differ by a step are their own dither, and then nearest rounding is the better one.
#
# ## Next
#
# Clip, bits and rounding are now on the table. Lesson 05 puts them into one federation and asks who should count how
# much. Still open: a shared *known* dither, subtracted at the server, would have Δ²/12 and no bias at all. It needs
# common random numbers on both sides.
