# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 08 · Mixed precision for unequal devices
#
# *A phone, a watch and a sensor train one model, each with as many bits as it can afford.*
#
# [![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/fqlab/fqlab/main?urlpath=lab/tree/notebooks/08_mixed_precision.ipynb)
#
# **Goals**
#
# - See which devices can still train when bits are few, and why dealing the bits layer by layer helps them.
# - Deal a budget of bits to layers, one move at a time.
# - Know when a top bit plane is rare enough to fall, and why no second one follows.
#
# **Needs** lesson 07. **Minutes** 35 to read, about 10 seconds to run in 510 MB of memory. **Words** in the [glossary](GLOSSARY.md).

# %%
from fqlab.lessons import check, hint, predict, quiz, reveal, show_source, solution
from fqlab.panels import figures, precision
from fqlab.papers import table
from fqlab.papers.figures import figure
from fqlab.quant import mean_bits, moves, msb_density, narrow_bits, prune_msb, pruning_growing
from fqlab.studies.dealing import SIZES
from fqlab.studies.fedmpq import bell
from fqlab.training.integer import reach

# %% [markdown]
# Ten devices train one network. Two can afford 2 bits a weight, two can afford 8, the rest something between. This is
# device $n$'s **budget** $v_n$: the mean of its layers' widths $b_n^{(l)}$, weighed by their numbers of weights $M_l$,
# must not exceed it. There are two ways to spend it:
#
# - **AQFL** gives every layer of a device the same width, the budget.
# - **FedMPQ** deals. On the device, a layer's top plane that hardly any weight uses falls. The server averages what came
#   in, rounds the mean widths to a common base, and then, for each device, cuts or grows bits until its budget is kept:
#   *pruning-growing*. Small layers get 8 bits, the largest pay with 1.
#
# The bits are the same in sum, and so are the bytes.
#
# ## Predict
#
# Which device gains from mixed precision, and why? Write both down. Then guess a number that decides the why. All layers of
# a device have 2 bits. It trains for a whole local round, with the authors' update of the bits. What share of its weights is
# another code afterwards?

# %%
predict("08-moved")

# %% [markdown]
# Move the slider and press the button, or type `predict("08-moved", your_number)`. Then run the next cell.

# %%
reveal("08-moved")

# %% [markdown]
# ## Play
#
# One network, a ResNet-8 on digits, trained while you wait (about ten seconds). Above: every layer on every device, its
# bits and, as colour, the share of its weights that the last local round moved. Below: what the weakest device's own
# model reads right, and the average.

# %% tags=["panel"]
panel = precision()
panel

# %% [markdown]
# Five things to find:
#
# 1. *Fixed*: go through the columns of 2 and 4 bits. What have these devices trained?
# 2. *Dealt*: which layers of the same devices move now? Which ones pay for it?
# 3. *... move by move*: walk **Show** from 2 on. Who is cut first, who grows first? Change **Cut** and walk again.
# 4. *Fixed, latent* and *Dealt, latent*: now fractions are kept between steps. What becomes of the average?
# 5. *Stored: fixed* and *Stored: dealt*: the same network on Fashion-MNIST, four seeds, trained beforehand. Who gained?
#
# ## Explain
#
# A link with ▸ sets the panel above to what it speaks of (in JupyterLab, once the panel's cell has run).
#
# **Why does nothing move?** The public code holds a weight as whole digits. After *every* step the sum of the digits is
# rounded to the grid and digits are formed anew; no fraction is kept. So a step that is shorter than half a grid step is
# lost. This is the furthest one step can reach, in grid steps, for a learning rate of 0.1 and a steepest slope of ½:

# %% tags=["nbval-check-output"]
for bits in (1, 2, 4, 6, 8):
    print(f"{bits} bits: {reach(0.5 / (2**bits - 1), bits, 0.0, 0.1):.2f}")

# %% [markdown]
# Below ½ [nothing moves ▸](#precision-111HGPR-2TR4). The step grows as $2^b$, since the top digit is worth $2^{b-1}$
# and digits move by powers of two. At 2 and 4 bits only the scales, norms and biases are trained, which are floats.

# %%
show_source(reach)

# %% [markdown]
# **What dealing changes.** The server ranks the layers by $\rho^{(l)} = M_l\,(\Delta b^{(l)} + 1)$. $\Delta b^{(l)}$ is
# what the layer gave up on its own last time. Large layers, and those that gave bits up, are cut first and grown last.
# In this network the two largest layers hold three weights of four. Drained to 1 bit, with the next one,
# [they pay ▸](#precision-54GBXRR-DVA5) for the 8 bits of all small layers on a 2-bit device:

# %%
widths = pruning_growing([8, 8, 8, 8, 7, 6, 5, 8], [0] * 8, SIZES, 2)
print(widths, f"mean {mean_bits(SIZES, widths):.2f} of 2 bits")

# %%
show_source(moves)

# %% [markdown]
# **Where fractions are kept** (`update="latent"`: real planes, as in lesson 07),
# [every layer trains ▸](#precision-16GTKXG-2TT3), slowly, at any width. The average is better than with whole digits,
# and dealing adds no more to it than seeds differ. The weakest device's *own* model may still gain: eight bits in its
# small layers are also a finer rounding. Two reasons, then, and the switch **Update** tells them apart: with *frozen* nobody trains a
# code, and whatever dealing gains there is rounding alone.
#
# **And the pruning?** Take a bell-shaped layer at 2, 4 and 8 bits, and cut its top plane by force:

# %%
rows = []
for bits in (2, 4, 8):
    codes = bell(3, bits)
    cut, left = prune_msb(codes, 1.0, once=True)
    rows.append(
        f"{bits} bits: δ = {float(msb_density(codes)):.3f}, then {float(msb_density(narrow_bits(cut, int(left)))):.2f}"
    )

# %% tags=["nbval-check-output"]
print("\n".join(rows))

# %% [markdown]
# The top bit says whether a weight is larger than about half the scale, and the scale is the largest weight. So only the
# shape of the distribution counts, not the width: over 30 draws [0.035 ± 0.010](#claim-fedmpq-delta) of the weights are that
# large. The cut halves the scale, and [0.29 ± 0.03](#claim-fedmpq-delta-after) of the weights lie in the upper half, about ten
# times any sensible ε. A round takes one plane at most, and pruning is not what makes the difference.
#
# **Or name a price.** Instead of enforcing a budget one can let λ find it. After each round
#
# $$ \lambda_n \leftarrow \max\bigl(0,\ \lambda_n + \eta\,(\bar b_n - v_n)\bigr), $$
#
# $\bar b_n$ being the mean bits device $n$ has sent. Over budget, the price of a bit rises; below, it falls. This is
# dual ascent. It is ours, a switch of the method (`dual_step`), named in an article about FedMPQ but not found in the
# paper. η decides everything: see the figure below.
#
# ## Check
#
# Write `f(base, reduced, sizes, budget)`: pruning-growing, as the public code does it. Rank the layers by
# `sizes[k] * (reduced[k] + 1)`, largest first. While the mean width is above the budget, cut the first layer down to 1 bit,
# then the next. Then, from the *end* of the ranking, grow each layer as far as it fits, to 8 at most, before the next.
# Return the widths.


# %% tags=["exercise"]
def deal(base, reduced, sizes, budget):
    widths = list(base)
    ranking = ...  # TODO: numbers of the layers, largest sizes[k] * (reduced[k] + 1) first
    # TODO: while the mean is above the budget, one layer down to 1 bit before the next
    # TODO: then from the end one layer up as far as it fits, 8 at most, before the next
    return ...  # TODO: the widths


check("08-pruning-growing", deal)

# %% [markdown]
# Stuck? `hint("08-pruning-growing")` gives three hints, `solution("08-pruning-growing")` the answer.
# The library's own lines stand above.
#
# On paper: two layers, 3000 and 1000 weights, and a budget of 4 bits a weight. The small one takes 8. How many whole bits can
# the large one have at most?

# %%
check("08-budget", ...)

# %% [markdown]
# ## Paper
#
# Published are gains alone: up to 9.1 points over AQFL, and 10.3 by growing, for ResNet-20 on CIFAR-10. No absolute number is
# public. But the code is, and it was run at the size of a laptop: Fashion-MNIST at 14 × 14, ResNet-8. Ours of the same, four
# seeds that nobody had looked at when the criteria were written; the panel shows the curves (*Stored*):

# %% tags=["nbval-check-output"]
table("weak_clients")

# %% [markdown]
# Who can train is as published: a local round moves [0](#claim-weak-moved-2) % of the weights at 2 bits, and
# [65.6 ± 7.1](#claim-weak-moved-8) % at 8. What it is worth shows late. After eight rounds FedMPQ's average is
# [1.6 ± 1.8](#claim-weak-gain) points above AQFL's (there [3.4](#claim-weak-gain)), the 2-bit device's own model
# [0.3 ± 4.5](#claim-weak-own-gain) points (there [8.5](#claim-weak-own-gain)): *not seen*, both. After 24 rounds the average is
# [2.5 ± 1.8](#claim-weak-gain-long) points ahead, and the 2-bit device's own model [8.7 ± 7.2](#claim-weak-own-gain-long)
# (there [13.4](#claim-weak-own-gain-long)): it *holds*. The client that gains is the one that could not train.
#
# Three further seeds of 24 rounds stand in the [ledger](CLAIMS.md). FedMPQ ends [3.0 ± 2.2](#claim-fedmpq-small-gain)
# points above AQFL and [0.2 ± 1.4](#claim-fedmpq-small-near-fp8) behind FP8: close to 8 bits for all with less than 5, as the
# paper says. Full precision is [3.7 ± 1.8](#claim-fedmpq-small-behind-float) points ahead, and
# [6.4 ± 1.6](#claim-fedmpq-small-all-2) points where every device has 2 bits.
#
# The controls agree, as far as four seeds of eight rounds can tell. With frozen codes the average moves by
# [-0.5 ± 1.6](#claim-weak-gain-frozen) points, with latent planes by [-0.6 ± 2.8](#claim-weak-gain-latent), and with a budget
# of 2 bits for everybody the two methods are one run. Without the handicap there is nothing to repair. Where labels are more
# skewed (α = 0.1) the seeds are too far apart to tell: [-4.4 ± 7.9](#claim-weak-gain-skewed).
#
# Why less than there after eight rounds? In the public code the last step of growing may pass the budget. Its 2-bit device
# has 2.09 bits a weight, and one of the three large layers keeps 2 bits; ours keeps its budget, and that layer 1 bit, which
# is three levels. Passing the budget is worth [4.3 ± 2.7](#claim-weak-over-own-gain) points to that device's own model, and
# [1.5 ± 1.2](#claim-weak-over-gain) to the average: what our promise costs. The public code's clients also start from networks
# of their own; what that is worth has no stored run.
#
# The paper's ablation switches the parts on one by one. Ours does so on another network, the MLP of lesson 05, where
# latent planes let everybody train:

# %% tags=["nbval-check-output"]
table("fedmpq")

# %%
figure("08-ablation")

# %% [markdown]
# Left: the arms (digits, ten devices, ten rounds, ε = 0.5 so that planes fall at all). Growing gives back
# [0.7 ± 1.6](#claim-fedmpq-gain-growing) points here and [10.3](#claim-fedmpq-gain-growing) in the paper: *not comparable*, the
# published ablation is ResNet-20 on CIFAR-10. Fixed widths win here, with [0.914 ± 0.036](#claim-fedmpq-arm-fixed): where
# everybody can train, nothing is gained by moving bits about. The published numbers were read second-hand.
#
# Where weak devices cannot train (ResNet-8, Fashion-MNIST, integer update) the parts are smaller than published as well. The
# lasso alone moves the average by [-0.6 ± 0.7](#claim-fedmpq-small-gain-lasso) points (there [-1.2](#claim-fedmpq-small-gain-lasso)).
# Pruning alone moves it by [0](#claim-fedmpq-small-gain-pruning) (there [-2.9](#claim-fedmpq-small-gain-pruning)): no plane falls at
# the code's ε. Both are *not seen*. Growing is worth [2.4 ± 1.5](#claim-fedmpq-small-gain-growing) points, *weaker* than
# [10.3](#claim-fedmpq-small-gain-growing). It is the part that matters.
#
# Right: the price instead of the budget. η = 0.001 is too timid: after ten rounds still
# [7.97 ± 0.05](#claim-fedmpq-dual-tiny-bits) bits for a budget of 5. η = 0.05 sends [3.76 ± 0.17](#claim-fedmpq-dual-good-bits) bits
# and reaches [0.862 ± 0.026](#claim-fedmpq-dual-good). Worst is the middle: with η = 0.005 the price goes on adding up while
# the bits hesitate, and is too high when they fall. The accuracy is [0.685 ± 0.173](#claim-fedmpq-dual-slow).

# %% [markdown]
# The paper also varies one setting at a time: local epochs, [clients ▸](#figures-3S00-9JPC), [ε ▸](#figures-2R00-EPDS)
# and [λ ▸](#figures-3300-62YJ). Here is each with the integer update, for a ResNet-8 on digits, and beside them the
# [bits by layer ▸](#figures-2JG0-ZTF3) of the runs above with the authors' own as stars. The same on Fashion-MNIST, 12 rounds:
# [local epochs ▸](#figures-3KG0-ESXE), [ε ▸](#figures-2XG0-TBE4) and [λ ▸](#figures-38G0-QXMQ). Hover over a point for its
# set-up. Click one, or walk along with *Point*: the card names the row above that it bears on, the line below holds its
# experiment, and *Run it again* computes it here and now.
#
# On Fashion-MNIST ε = 0.1 costs [2.3 ± 0.9](#claim-fedmpq-small-epsilon-falls) points: that pruning harms beyond 0.03
# *holds*. λ = 0.1 costs [-0.2 ± 1.2](#claim-fedmpq-small-lambda-falls) points, so that a harm beyond 0.01 is *not seen*.
# Four local epochs in place of one are worth [5.7 ± 1.4](#claim-fedmpq-small-epochs-aqfl) points to AQFL: the strong drop that
# is said, more than 3.4 points, *holds*. To FedMPQ they are worth [4.9 ± 3.1](#claim-fedmpq-small-epochs): more than nothing, but
# *not seen* beyond the spread. And with labels as skewed as Dirichlet(0.1) makes them, FedMPQ's gain over AQFL is
# [1.9 ± 5.3](#claim-fedmpq-small-gain-skewed) points: *not seen*, one seed of three loses.

# %% tags=["panel"]
paper = figures(figure="08-epochs")
paper

# %% [markdown]
# ## Quiz

# %%
quiz("08")

# %% [markdown]
# ## Remember
#
# - A step that is rounded away trains nothing: with whole digits, weights of 1 to 4 bits stand still.
# - Dealing the bits of a device layer by layer gives it small layers that can learn, and rounds them less. Where fractions
#   are kept, the first reason is gone.
# - Pruning alone only goes down, one plane at a time. Growing gives every device its budget back, to the last bit that fits.
#
# ## Next
#
# The bytes fall with the bits in both directions here, since each device receives its own model. But every one of these
# numbers is a mean over devices: is the sensor's model any good? And why should all weights be sent at all? Lesson 09
# gives each client a small network of its own.
