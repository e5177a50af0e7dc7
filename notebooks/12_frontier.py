# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 12 · The frontier
#
# *Every system, one plot, your move.*
#
# [![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/fqlab/fqlab/main?urlpath=lab/tree/notebooks/12_frontier.ipynb)
#
# **Goals**
#
# - Read accuracy and bytes together, and say which runs nobody beats.
# - See the order of the systems change with the way one counts.
# - Beat all of them under a byte cap.
#
# **Needs** lessons 01 and 05; the others help. **Minutes** 25 to read, about 4 seconds to run in 400 MB of memory. **Words** in the [glossary](GLOSSARY.md).

# %%
from fqlab.lessons import check, hint, predict, quiz, reveal, show_source, solution
from fqlab.panels import frontier
from fqlab.papers import table
from fqlab.papers.figures import figure
from fqlab.studies.frontier import COSTS, Point, cheapest, front

# %% [markdown]
# Each lesson had its own yardstick. Here all systems run the same race: ten devices, digits, thirty rounds, the same
# small network. Every setting was run with three seeds and noted after 2, 5, 10, 20 and 30 rounds, because stopping
# early is a setting too. Bytes are those of real packets, headers, masks and bit tables included.
#
# One system is missing on purpose. Quantization-robust training (lesson 06) sends what FedAvg sends; it saves on the
# chip, not on the wire.
#
# ## Predict
#
# Count both directions.

# %%
predict("12-cheapest")

# %%
reveal("12-cheapest")

# %% [markdown]
# ## Play
#
# The black staircase is the *front*: the runs that nobody beats. A run is beaten if another is at least as accurate
# with at most its bytes, and better in one of the two. Your own run is the star; it trains when you move a control
# under *Your run*, and earlier runs stay as hollow stars. A stored run is the mean of three seeds, yours is one. Point at a
# mark to read what it is; click it, and the same setting runs as yours.

# %% tags=["panel"]
panel = frontier()
panel

# %% [markdown]
# Three things to find:
#
# 1. Go from *Bytes up* to *Up and down*. Who was cheapest, who is now?
# 2. Press *Two digits each*, then *... by their own*. Which systems rise to the top, and which question do they answer?
# 3. Is any system cheapest however one counts and whatever one asks for?
#
# ## Explain
#
# A link with ▸ sets the panel above to what it speaks of (in JupyterLab, once the panel's cell has run).
#
# A *cost model* says which bytes count: the way up alone, or both; as sent, or entropy coded.

# %%
show_source(Point.cost)

# %% [markdown]
# The front is one pass over the runs, sorted by bytes: keep a run if it is more accurate than all cheaper ones.

# %%
show_source(front)

# %% [markdown]
# Kilobytes that each way of counting charges for 90 %, by the cheapest stored run:

# %% tags=["nbval-check-output"]
for family in ("fedavg", "clipped", "both", "aqfl", "fedmpq", "bsq"):
    found = [cheapest(family, "even", "everyone", 0.9, cost) for cost in COSTS]
    print(
        f"{family:12s}",
        *(f"{cost} {p.cost(cost) / 1000:7.0f}" if p else "never" for p, cost in zip(found, COSTS, strict=True)),
    )

# %% [markdown]
# [Counted up alone ▸](#frontier-5J05078R-F0ZC), 2-bit uploads are [10.7](#claim-frontier-up) times lighter than FedAvg.
# [Counted both ways ▸](#frontier-2PZE0VZ8R-6DH8) it is [1.8](#claim-frontier-both). The way down was half of the
# traffic, and now it is nearly all of it. Quantize it too, at 4 bits, and the whole is [6.5](#claim-frontier-down)
# times lighter, for [0.018 ± 0.006](#claim-frontier-down-loss) of accuracy.
#
# ## Check
#
# Beat the front: at least 95 % within 500 kB, up and down. Search with the panel (byte cap *500 kB*), then paste the
# ticket.

# %%
check("12-beat-the-front", ...)

# %% [markdown]
# Stuck? `hint("12-beat-the-front")` gives three hints, one by one; `solution("12-beat-the-front")` gives it away.
#
# When it is found, the quiet part. All stored settings inherit one local epoch, all ten devices and thirty rounds. Let
# FedAvg itself do five epochs, with five devices a round, for ten rounds: half of the devices, a third of the rounds. Its
# traffic falls sixfold, without a single quantized weight, and it still reads 96 % of the digits. These
# levers are as old as FedAvg. The gains multiply: with 4 bits both ways it is [39](#claim-frontier-mix) times, at an
# accuracy of [0.957 ± 0.009](#claim-frontier-mix-accuracy).
#
# On paper: a method sends a sixteenth of FedAvg's bytes up and all of them down, and needs twice the rounds. How many times fewer
# bytes does it take in all? Below 1 means more.

# %%
check("12-twice-the-rounds", ...)

# %% [markdown]
# ## Paper
#
# LotteryFL's main table puts accuracy beside megabytes, one direction counted. Left the published points, then ours on
# digits with the same way to count, then ours with both ways.

# %%
figure("12-lottery")

# %% [markdown]
# *Left: LotteryFL's Table 2, MNIST, two classes a client, 20 clients a round, 400 rounds. Middle and right: ours, digits,
# two digits a device, ten devices, thirty rounds of five epochs, mean accuracy of each device's own model. The number is
# the share of the weights a ticket keeps.*
#
# LotteryFL(0.5) cost [2.18](#claim-frontier-lottery-up) times less than FedAvg in the paper and
# [1.88 ± 0.04](#claim-frontier-lottery-up) times less here. It is better by [0.035](#claim-frontier-lottery-own) there, and by
# [0.03](#claim-frontier-lottery-own) here, no more than our seeds differ: a gain is *not seen*. But look at the upper left corner. On digits, a
# device that talks to nobody reads its two digits best of all. The published order of the systems is a statement about
# the published data.

# %% tags=["nbval-check-output"]
table("frontier")

# %% [markdown]
# ## Quiz

# %%
quiz("12")

# %% [markdown]
# ## Remember
#
# - A method is a point only with its cost model: up or both ways, as sent or coded, at which accuracy, on which data.
# - Quantizing one direction saves less than half of what it seems to.
# - Rounds, devices and local work are levers too; their gains multiply with the bits'.
#
# ## Next
#
# Digits is an easy race of a small network, ten devices, three seeds, and one learning rate for all: systems that train
# bit planes may want another. Under label skew, long local work drifts. Bytes
# are not yet seconds or joules. The front of *your* problem is yours to draw: `fqlab run` takes any of these tickets'
# experiments to other data.
