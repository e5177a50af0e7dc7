# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 09 · Lottery tickets
#
# *A small network of your own.*
#
# [![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/fqlab/fqlab/main?urlpath=lab/tree/notebooks/09_lottery_tickets.ipynb)
#
# **Goals**
#
# - Follow a mask through a round: gate, prune, rewind, train, average.
# - Average weights that only some clients still have.
# - Read a published number as a sentence with conditions.
#
# **Needs** lesson 01. **Minutes** 20 to read, about 5 seconds to run in 410 MB of memory. **Words** in the [glossary](GLOSSARY.md).

# %%
import numpy as np

from fqlab.aggregate import masked_mean
from fqlab.lessons import check, hint, predict, quiz, reveal, show_source, solution
from fqlab.methods.lottery import Lottery, prune
from fqlab.panels import figures, lottery
from fqlab.papers import table
from fqlab.papers.figures import figure

# %% [markdown]
# Ten clients hold two digits each. None of them needs a network that reads all ten. LotteryFL lets each client look
# for a **ticket**: a small part of the shared network that is good enough for its own digits. Only the ticket travels.
#
# ## Predict
#
# Throw away nine of ten weights. What is left of the accuracy?

# %%
predict("09-a-tenth")

# %% [markdown]
# Move the slider and press the button, or type `predict("09-a-tenth", your_number)`. Then run the next cell.

# %%
reveal("09-a-tenth")

# %% [markdown]
# ## Play
#
# Press the presets from left to right. **Show client** trains nothing; every other control runs ten clients for forty
# rounds, and two baselines.

# %% tags=["panel"]
panel = lottery()
panel

# %% [markdown]
# Three things to find:
#
# 1. The green curve falls again and again. What happens in those rounds? *No rewind* shows it.
# 2. Same run, three bills. Which one would you print in a paper? Which one does your provider print?
# 3. A network of your own? Look how many clients keep the same weights.
#
# ## Explain
#
# A link with ▸ sets the panel above to what it speaks of (in JupyterLab, once the panel's cell has run).
#
# A client gets the average on its mask. If that reads more of its held-back images right than the **gate** asks, the
# client drops a fifth of what is left, smallest weights first, and sets the survivors back to their first values
# $\theta_0$. Then it trains. The server averages every weight over those that kept it:
#
# $$\theta[j]=\frac{\sum_k m_k[j]\,\theta_k[j]}{\sum_k m_k[j]},$$
#
# with $m_k[j]=1$ if client $k$ kept weight $j$, and the old $\theta[j]$ where nobody did.

# %%
show_source(Lottery.prepare)

# %%
show_source(prune)

# %% [markdown]
# Pruning goes on *while* more than the target is left. So it overshoots: target 0.1 ends at $0.8^{11}$, or
# [8.6 % ▸](#lottery-6QEH0-00GF).
#
# Why are the tickets so alike? Of what client 1 keeps in the first layer, all ten keep [59 % ▸](#lottery-6QEH0-00GF).
# All ten clients prune the same average, *before* they train on their own digits. The smallest weights of that average
# are the same for everybody. In the paper only 5 to 20 of 400 clients take part in a round, so the average changes
# between two prunings; its Figure 2 shows more weights of few clients than ours.
#
# ## Check
#
# Write the mask-aware mean.


# %% tags=["exercise"]
def mean_of_kept(values, masks, old):
    count = ...  # TODO: how many clients kept each weight
    total = ...  # TODO: the sum over those that did
    return ...  # TODO: the mean, and the old value where nobody did


check("09-masked-mean", mean_of_kept)

# %% [markdown]
# Stuck? `hint("09-masked-mean")` gives three hints, one by one; `solution("09-masked-mean")` gives it away. The
# library's own:

# %%
show_source(masked_mean)

# %% [markdown]
# On paper: target 0.5. In each of rounds 1 to 5, before it sends, a client prunes a fifth of what is left, as long as more than
# half is left. Which share of the weights does it send, averaged over the five rounds?

# %%
check("09-mean-share", ...)

# %% [markdown]
# ## Paper

# %% tags=["nbval-check-output"]
table("lottery")

# %% [markdown]
# The cost of FedAvg, [663.76](#claim-lottery-fedavg-mib) MB, comes out to all printed digits. It tells what was counted:
# one direction, weights without biases, no masks, a megabyte of 2^20 bytes. Then the conditions of the [99.96](#claim-lottery-tickets) %: two classes
# a client, one direction counted, and the *best* round of each client on 80 test images at a time.
#
# Here, at the last round and on all test images, tickets reach [92.0 ± 2.0](#claim-lottery-tickets) %. FedAvg's one model
# reads [88.5 ± 2.0](#claim-lottery-fedavg) % of each client's own digits. And clients that never talk reach
# [97.5 ± 1.1](#claim-lottery-alone) %, for no weight sent (lesson 12 charges them the first model and empty packets, 0.2 MB).
# Accuracies on digits and on MNIST are *not comparable*; their differences are. In the paper tickets beat training alone
# by [9.24](#claim-lottery-gain) points. Here we see the *opposite*, [-5.5 ± 2.5](#claim-lottery-gain): they lose. Two digits are
# easy to learn alone, and forty rounds are few.
#
# So we ran it at the paper's own size: MNIST, 400 clients, 400 rounds, three seeds. FedAvg reads
# [96.4 ± 0.2](#claim-lottery-mnist-fedavg) %, as printed ([96.46](#claim-lottery-mnist-fedavg)): it *holds*. Training alone reads
# [96.3 ± 0.2](#claim-lottery-mnist-alone) %, the *opposite* of the printed [90.72](#claim-lottery-mnist-alone). Tickets with
# target 0.1 read [98.1 ± 0.3](#claim-lottery-mnist-best-1) % if each client's best round counts, as in the public code, and
# [43.1 ± 4.6](#claim-lottery-mnist-last-1) % after the last: *opposite* to [99.96](#claim-lottery-mnist-last-1) both times. Every
# late pruning sends a client back to its first weights. The gate opens late, and so they cost
# [0.54 ± 0.01](#claim-lottery-mnist-cost-1) of FedAvg, the *opposite* of [0.246](#claim-lottery-mnist-cost-1).
# Where the second class has a quarter of the images they lose [6.8 ± 6.5](#claim-lottery-mnist-unbalanced) points, *not seen*;
# with 5 images a class instead of 20 they lose [13.2 ± 4.7](#claim-lottery-mnist-few), and that *holds*.
#
# And on CIFAR-10, for a twentieth of the paper's rounds. Training alone reads [65.6 ± 0.3](#claim-lottery-cifar-100-alone) %,
# as printed ([65.44](#claim-lottery-cifar-100-alone)): it *holds*. Tickets are not there yet. They cost
# [0.95 ± 0.01](#claim-lottery-cifar-100-cost-1) of FedAvg, so hardly anything is pruned, and after the last round they read
# [26.0 ± 3.8](#claim-lottery-cifar-100-last-1) %; each client's best round is [76.3 ± 0.7](#claim-lottery-cifar-100-best-1) %.
#
# The saving depends on the bill. Counted as in the paper, target 0.1 costs [0.28 ± 0.03](#claim-lottery-one-way) of FedAvg.
# Counted both ways, with FedAvg's download broadcast once, target 0.5 costs [1.00 ± 0.03](#claim-lottery-broadcast) of
# it: the saving is gone. CELL's authors found [1.652](#claim-lottery-broadcast) on CIFAR-10; that it costs *more* is
# *not seen* here.

# %%
figure("09-cost")

# %% [markdown]
# *Left and middle: LotteryFL's Table 2, 20 clients a round. Right, ours: digits, 10 clients, 40 rounds, three seeds;
# cost one way, as in the paper.*

# %% [markdown]
# The table once more as bars, row by row: accuracy here, and the [cost ▸](#figures-4400-0NC0), on digits; then MNIST at the
# paper's own size ([accuracy ▸](#figures-49G0-TZV3), [cost ▸](#figures-4F00-7TJA)), and Figure 2:
# [what few clients keep ▸](#figures-4MG0-3YXY). The stars are the printed
# values. Hover over a point for its set-up. Click one, or walk along with *Point*: the card names the row above that it bears
# on, the line below holds its experiment, and *Run it again* computes it here and now.

# %% tags=["panel"]
paper = figures(figure="09-accuracy")
paper

# %% [markdown]
# ## Quiz

# %%
quiz("09")

# %% [markdown]
# ## Remember
#
# - A tenth of the weights can be enough for a client's own classes; each rewind costs rounds to climb back.
# - Average a weight over the clients that kept it, and keep the old value where nobody did.
# - A saving is a sentence with conditions: which direction, which overhead, and whether a broadcast counts once.
#
# ## Next
#
# Whether rewinding helps at all is open: in our runs it costs rounds, and later work reports better results without
# it. The masks also tell the server what a client's data look like, and nobody charges for that.
# Lesson 10 opens the packets themselves.
