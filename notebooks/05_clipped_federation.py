# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05 · Clipped federated learning
#
# *Clip, round, average, end to end. And who pays for the average.*
#
# [![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/fqlab/fqlab/main?urlpath=lab/tree/notebooks/05_clipped_federation.ipynb)
#
# **Goals**
#
# - Give every device its share of the average by the error of its upload.
# - Say when averaging by inverse error is the best there is, and when it silences people.
# - Count the traffic of both directions.
#
# **Needs** lessons 01 to 04. **Minutes** 25 to read, about 5 seconds to run in 410 MB of memory. **Words** in the [glossary](GLOSSARY.md).

# %%
import numpy as np

from fqlab.aggregate import inverse_error_weights
from fqlab.lessons import check, hint, predict, quiz, reveal, show_source, solution
from fqlab.methods.clipped import Clipped
from fqlab.panels import clipped, figures
from fqlab.papers import table
from fqlab.papers.figures import figure
from fqlab.studies.unequal import weights

# %% [markdown]
# Ten devices learn together. Each quantizes its weights before it sends them. The server sees ten estimates, some
# sharp and some blurred. Surely it should trust the sharp ones more?
#
# That is the averaging rule of Bozorgasl and Chen's *Communication-efficient federated learning via clipped uniform
# quantization* ([arXiv 2405.13365](https://arxiv.org/abs/2405.13365)): a client's weight in the average is inverse to its squared
# quantization error. It has a second charm. FedAvg must know how many samples each client has. This rule asks nobody.
#
# ## Predict
#
# Nine devices are cheap and send 2-bit weights. One is expensive and sends 8-bit weights.

# %%
predict("05-one-fine-device")

# %%
reveal("05-one-fine-device")

# %% [markdown]
# ## Play
#
# The upper left picture shows everybody's share of the average, dark for the fine device. The coarse devices have seen
# all digits. The fine one has never seen a 7. Press the presets from left to right.

# %% tags=["panel"]
panel = clipped()
panel

# %% [markdown]
# Three things to find:
#
# 1. *One 8-bit device*: everybody has all digits. Is the average better than with *All 2 bit*?
# 2. *At most 10*: no device counts more than ten others. Where is the limit at which the 7 dies?
# 3. Set the coarse devices to 8 bits in the output layer only. It holds 640 of the 4736 weights. What comes back?
#
# ## Explain
#
# A link with ▸ sets the panel above to what it speaks of (in JupyterLab, once the panel's cell has run).
#
# Let client $i$ upload layer $l$ with squared error $e_{l,i}$. The rule is
#
# $$\omega_{l,i} = \frac{1/e_{l,i}}{\sum_j 1/e_{l,j}}.$$
#
# In the library it is three lines and a guard. A layer that happens to lie on its grid has $e = 0$. Without the floor
# it would take the whole average, or divide by zero.

# %%
show_source(inverse_error_weights)

# %% [markdown]
# Where does the rule come from? Suppose all clients hold the *same* weights $W$ and upload $W + \epsilon_i$, with
# independent errors of variance $e_i$ and mean zero. Among all averages $\sum_i \omega_i (W + \epsilon_i)$ with
# $\sum_i \omega_i = 1$, the variance $\sum_i \omega_i^2 e_i$ is least for $\omega_i \propto 1/e_i$. This is Gauss and
# Markov's theorem. For errors 1, 2 and 4:

# %% tags=["nbval-check-output"]
w = inverse_error_weights([1.0, 2.0, 4.0]).numpy()
best = (w**2 * [1, 2, 4]).sum()
equal = np.array([1, 2, 4]).sum() / 9
print(f"weights {w.round(4)}: variance {best:.4f}, equal weights {equal:.4f}")

# %% [markdown]
# Now put in two bit-widths. Take bell-shaped weights, the mid-rise grid, OCTAV's clip. Every bit more cuts the error
# three- to fourfold, and six bits multiply up: the 8-bit device counts as much as [1469](#claim-unequal-ratio) others
# (1464 for the exact bell curve; our million weights end at 4.9 σ, and the 8-bit error feels that).
# Among nine it has 1464 / (1464 + 9), or [99.4 % ▸](#clipped-MXSK0-9VJT), of the average:

# %% tags=["nbval-check-output"]
for fine, coarse in ((8, 4), (8, 2), (4, 2), (3, 2)):
    w = weights((fine, *(coarse,) * 9))
    print(f"one {fine}-bit device among nine {coarse}-bit ones: {w[0] / w[1]:4.0f} : 1, its share {w[0]:.1%}")

# %% [markdown]
# The theorem's first word was *same*. Clients do not hold the same weights: they trained on different data. What the
# nine know about sevens is no noise, but the rule treats it as if it were. The error it looks at is the error of
# *sending*. It cannot see the error of *not having been there*: give the 8-bit device no seven, and the federation
# reads [0 % ▸](#clipped-1CBSK0-ZXWH) of them right.
#
# One repair is ours and not the paper's: `floor_errors` lifts small errors until no device counts more than `limit` others.
# With a limit $r$, one fine device among nine has a share of at most $r/(r+9)$, which is [52.6 % ▸](#clipped-1CBWGR-XQ6B) for
# a limit of 10.

# %%
show_source(Clipped.floor_errors)

# %% [markdown]
# ## Check
#
# Write the rule yourself, for all layers at once. Some clients may be absent, some errors may be zero.


# %% tags=["exercise"]
def shares(mse, present, floor):
    inverse = ...  # TODO: 1/error, with the floor; nothing for those who are absent
    return ...  # TODO: every layer's shares sum to 1


check("05-inverse-error", shares)

# %% [markdown]
# Stuck? `hint("05-inverse-error")` gives three hints, one by one; `solution("05-inverse-error")` gives it away.
#
# On paper: nine coarse devices, one fine, and a limit $r$: the fine one counts as $r$ coarse ones. Which $r$ gives the nine
# together half of the average?

# %%
check("05-fair-limit", ...)

# %% [markdown]
# ## Paper
#
# What follows from the authors' public code, beside our measurements. We could read no accuracy table of this paper, so
# there is none to compare with.

# %% tags=["nbval-check-output"]
table("clipped")

# %% [markdown]
# The codes are [15.779](#claim-clipped-ratio-4224) times smaller than 32-bit weights. The whole traffic is only
# [1.87](#claim-clipped-traffic-4224) times smaller, [1.863](#claim-clipped-traffic-packets) with our packets: the way
# down stays 32 bit. The abstract's *near full precision* takes time and chance: on MNIST, after 40 rounds, 2 bits that are
# rounded at random are [0.1 ± 0.4](#claim-clipped-mnist-40-near-octav-stochastic) points behind. Rounded to the nearest they
# are [14.0 ± 4.7](#claim-clipped-mnist-40-near-octav-nearest) behind, the *opposite*: thirty clients round alike.
# With all images of MNIST and 50 rounds, 2 random bits are [0.5 ± 0.1](#claim-clipped-mnist-50-near-octav-stochastic) points
# behind; rounded to the nearest they are [1.3 ± 0.3](#claim-clipped-mnist-50-near-octav-nearest) behind, *not seen* to be less
# than one point. With 4 bits in the outer layers it is [0.8 ± 0.1](#claim-clipped-mnist-50-near-4224).
# OCTAV's clip is worth [6.5 ± 0.1](#claim-clipped-mnist-50-max-abs-nearest) points over max scaling there, and
# [1.9 ± 0.1](#claim-clipped-mnist-50-max-abs-stochastic) where rounding is random. Averaging by 1/error is worth
# [0.05 ± 0.10](#claim-clipped-mnist-50-inverse). On CIFAR-10, after 15 rounds, 4 random bits are
# [0.7 ± 0.3](#claim-clipped-cifar-near-stochastic) behind, *not seen* to be less either; to the nearest they are
# [2.0 ± 0.5](#claim-clipped-cifar-near) behind.
#
# Next, our own experiment with unequal devices. It is not in the paper, whose clients all send the same widths.

# %% tags=["nbval-check-output"]
table("unequal")

# %% [markdown]
# Sevens read right, over three seeds: [0.00](#claim-unequal-sevens-inverse) by inverse error,
# [0.99 ± 0.02](#claim-unequal-sevens-size) by samples, [0.89](#claim-unequal-sevens-limit) with a limit of ten. A finer
# output layer alone brings back [0.65 ± 0.02](#claim-unequal-sevens-output): one layer in which all are heard. And if only the
# fine device has sevens, the rule *helps*, by [0.09 ± 0.03](#claim-unequal-only-fine). Where everybody has all digits it does
# nothing that seeds do not do too: [-0.006 ± 0.014](#claim-unequal-even).
#
# All this is about *weights*. The library's clipped method can also send what training changed in them
# (`Clipped(send="differences")`), as FedPAQ does. At one bit and the same bytes, on digits, weights at OCTAV's clip reach
# [0.688 ± 0.023](#claim-rivals-weights-1), differences with the largest of them as range [0.948 ± 0.004](#claim-rivals-fedpaq-1):
# lesson 13.
#
# The public code offers two clips, two roundings and two averaging rules. We ran all eight at 2 bits, with its
# quantization-aware training. The paper's abstract speaks of stochastic quantization and of averaging by error; the second
# clip is in the code alone. The numbers are ours.

# %%
figure("05-arms")

# %% [markdown]
# *Ours: digits, 10 clients, 20 rounds, three seeds, bars of one standard deviation. The abstract says that stochastic
# quantization mitigates artefacts. Here it is the strongest choice of the three, and the averaging rule, with equal
# widths, the weakest.*

# %% [markdown]
# Accuracy against rounds, then: the arms that the paper's code offers, with its network and optimiser, on a tenth of MNIST for
# forty of its two hundred rounds, [on all of it ▸](#figures-GG0-M3JZ), [on digits ▸](#figures-5G0-3CYJ), and with four
# bits a weight on CIFAR-10 ([its curves ▸](#figures-P00-CJSQ)). Hover over a point for its set-up. Click one, or walk
# along with *Point*: the card names the row above that it bears on, the line below holds its experiment, and *Run it again*
# computes it here and now, on digits. A point that is white inside rests on one seed.

# %% tags=["panel"]
paper = figures(figure="05-rounds-mnist")
paper

# %% [markdown]
# ## Quiz

# %%
quiz("05")

# %% [markdown]
# ## Remember
#
# - Inverse-error weights are the best average of *one* model sent with different noise.
# - With unequal bits they hand the federation to the finest device, and what only the others know is lost.
# - A limit on the ratio, or one layer in which all are equally fine, gives the others their say back.
#
# ## Next
#
# A device's error tells the server its bits and the spread of its weights, so the rule is not free of disclosure. And
# nobody has said what the best limit is: between noise and knowledge there is a trade that no theorem here settles.
# Lesson 06 asks for one model that survives *any* bit-width.
