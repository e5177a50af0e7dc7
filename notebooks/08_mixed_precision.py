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
# - Know when a top bit plane is rare enough to fall, and why no second one follows.
# - Deal a budget of bits to layers, one move at a time.
# - Set the price of a bit instead of the bits, and see how a bad step of the price costs accuracy.
#
# **Needs** lesson 07. **Minutes** 30 to read, about 20 seconds to run in 420 MB of memory. **Words** in the [glossary](GLOSSARY.md).

# %%
from fqlab.lessons import check, hint, predict, quiz, reveal, show_source, solution
from fqlab.methods.fedmpq import ABLATION
from fqlab.panels import precision
from fqlab.papers import table
from fqlab.papers.figures import figure
from fqlab.quant import mean_bits, moves, msb_density, narrow_bits, prune_msb, pruning_growing
from fqlab.studies.fedmpq import SIZES, bell

# %% [markdown]
# Ten devices train one network. Two can afford 2 bits a weight, two can afford 8, the rest something between. This is
# device $n$'s **budget** $v_n$: the mean of its layers' widths $b_n^{(l)}$, weighed by their numbers of weights $M_l$,
# must not exceed it.
#
# FedMPQ plays in two halves:
#
# - **On the device.** Train bit planes with a group lasso of strength λ, as in lesson 07. Then look at the top plane of
#   each layer. The share of weights that use it is $\delta^{(l)}$. If $\delta^{(l)} \le \varepsilon$, it falls.
# - **At the server.** Average what came in. Round the mean widths to a common base. Then, for each device, cut or
#   grow bits until its budget is kept: *pruning-growing*.
#
# The method follows the authors' public code; its docstring says where ours differs. The panel and the ablation below
# use switches of ours (`fedmpq_plus`): real-valued planes, top planes alone, a bit from each layer in turn.
#
# ## Predict
#
# A bell-shaped layer with its largest weight as the scale. ε = 0.03, the largest value reported as harmless. How many
# top planes can such a layer lose in one round, at most?

# %%
predict("08-planes-a-round")

# %% [markdown]
# Move the slider and press the button, or type `predict("08-planes-a-round", your_number)`. Then run the next cell.

# %%
reveal("08-planes-a-round")

# %% [markdown]
# ## Play
#
# Above: what each of ten devices gives to each of four bell-shaped layers; the sizes are those of ResNet-20. Below left:
# δ of these layers. Below right: a real federation on digits with the same settings. It takes some seconds.

# %% tags=["panel"]
panel = precision()
panel

# %% [markdown]
# Five things to find:
#
# 1. Walk **Move shown** from 0 to the end. Who is cut first on a poor device, who grows first on a rich one?
# 2. Change **Cut** to *a bit from each in turn* and walk again. Which layer pays?
# 3. Drag ε up. Below which value does no layer fall, and where does the first one fall twice?
# 4. *Pruning only*: how many bits are sent after ten rounds? How much of the accuracy is gone? Now *… and growing*.
# 5. *Primal-dual*, with η from small to large. Look at the bits first, then at the accuracy.
#
# ## Explain
#
# **Why one plane and no more?** Take the largest of the four layers at 2, 4 and 8 bits, and cut its top plane by force:

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
# Before the cut δ does not depend on the width at all. The top bit says whether a weight is larger than about half
# the scale, and the scale is the largest weight. Only the shape of the distribution counts. Over 30 draws
# [0.035 ± 0.010](#claim-fedmpq-delta) of the weights are that large.
#
# The cut halves the scale. Now [0.29 ± 0.03](#claim-fedmpq-delta-after) of the weights lie in the upper half, about ten times
# any sensible ε. So the pruning stops by itself. The next round takes max |w| anew, and may start over.
#
# Layers that are *not* bell-shaped behave otherwise. The row *digits* in the panel is a layer just drawn: its weights
# are uniform, half of them use the top bit. There ε = 0.03 does nothing before the group lasso has done its work.
#
# The device's half is short:

# %%
show_source(prune_msb)

# %% [markdown]
# The server ranks the layers by $\rho^{(l)} = M_l\,(\Delta b^{(l)} + 1)$. $\Delta b^{(l)}$ is what the layer gave up on
# its own last time. Large layers, and those that gave bits up, are cut first and grown last.

# %%
show_source(moves)

# %%
widths = pruning_growing([5, 5, 5, 4], [0, 1, 0, 1], SIZES, 4, "round_robin")
print(widths, f"mean {mean_bits(SIZES, widths):.3f} of 4 bits")

# %% [markdown]
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
# Write `f(base, reduced, sizes, budget)`: pruning-growing, the turn-by-turn way. Rank the layers by
# `sizes[k] * (reduced[k] + 1)`, largest first. While the mean width is above the budget, take one bit from each layer in
# turn (never below 1). Then, from the *end* of the ranking, give one bit to each layer in turn (never above 8), skipping
# those that would break the budget. Return the widths.


# %% tags=["exercise"]
def deal(base, reduced, sizes, budget):
    widths = list(base)
    ranking = ...  # TODO: numbers of the layers, largest sizes[k] * (reduced[k] + 1) first
    # TODO: while the mean is above the budget, a bit from each in turn, never below 1
    # TODO: then from the end a bit to each in turn, never above 8 or the budget
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
# The published ablation switches the parts on one by one. So does ours:

# %%
for name, switches in ABLATION.items():
    print(f"{name:28s}", switches or "everything on")

# %% tags=["nbval-check-output"]
table("fedmpq")

# %%
figure("08-ablation")

# %% [markdown]
# Left: the arms, ours alone (digits, ten devices, ten rounds, ε = 0.5 so that planes fall at all). The lasso alone makes
# [-0.5 ± 0.6](#claim-fedmpq-gain-lasso) points (published: -1.2). Pruning alone makes [-3.1 ± 0.2](#claim-fedmpq-gain-pruning),
# published is [-2.9](#claim-fedmpq-gain-pruning). Growing gives back [0.7 ± 1.6](#claim-fedmpq-gain-growing) points here and
# [10.3](#claim-fedmpq-gain-growing) in the paper. Ours are *not comparable*: theirs is ResNet-20 on
# CIFAR-10, ours a small network that digits can hardly ruin, at settings chosen after an earlier criterion had failed.
# And fixed widths win here, with
# [0.914 ± 0.036](#claim-fedmpq-arm-fixed). On an easy task nothing is gained by moving bits about. The published numbers were
# read second-hand, and what the first two are measured against is uncertain.
#
# Right: the price instead of the budget. η = 0.001 is too timid: after ten rounds still
# [7.97 ± 0.05](#claim-fedmpq-dual-tiny-bits) bits for a budget of 5. η = 0.05 sends [3.76 ± 0.17](#claim-fedmpq-dual-good-bits) bits
# and reaches [0.862 ± 0.026](#claim-fedmpq-dual-good), below the [0.890 ± 0.024](#claim-fedmpq-arm-full) of a fixed λ with enforced
# budgets at [4.71](#claim-fedmpq-bits-full) bits. Worst is the middle: with η = 0.005 the price goes on adding up while
# the bits hesitate, and is too high when they fall. The accuracy is [0.685 ± 0.173](#claim-fedmpq-dual-slow).
#
# ## Quiz

# %%
quiz("08")

# %% [markdown]
# ## Remember
#
# - δ depends on the shape of the weights, not on their bits; cutting one plane lifts it about tenfold, so one falls at
#   a time.
# - Pruning alone only goes down. Growing gives every device its budget back, to the last bit that fits.
# - A budget can be enforced, or priced; a price that moves too slowly overshoots, and empties whole layers.
#
# ## Next
#
# The bytes fall with the bits in both directions here, since each device receives its own model. But every one of these
# numbers is a mean over devices: is the sensor's model any good? And why should all weights be sent at all? Lesson 09
# gives each client a small network of its own.
