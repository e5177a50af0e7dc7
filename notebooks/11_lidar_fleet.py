# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 11 · A fleet with LiDAR
#
# *The same pipeline, another world: eight cars with laser scanners learn from each other.*
#
# [![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/fqlab/fqlab/main?urlpath=lab/tree/notebooks/11_lidar_fleet.ipynb)
#
# **Goals**
#
# - Read a point cloud: what distance, height and fog do to it.
# - Build a network that does not care about the order of points.
# - Ask *who* gains and *who* pays, not only how much on average.
#
# **Needs** lessons 01 and 04. **Minutes** 20 to read, about 7 seconds to run in 590 MB of memory. **Words** in the [glossary](GLOSSARY.md).

# %%
import torch

from fqlab.data import load
from fqlab.lessons import check, hint, predict, quiz, reveal, show_source, solution
from fqlab.models import make
from fqlab.models.pointnet import PointNet
from fqlab.panels import fleet
from fqlab.papers import table
from fqlab.papers.figures.fleet import fog, real_street

# %% [markdown]
# A car drives down a street. On its roof a scanner spins: lasers above each other, one turn in a tenth of a second. Each
# laser pulse that comes back is an *echo*, a point in space. Which points are a car, which a cyclist?
#
# Eight cars drive in eight towns. Each labels what it sees and keeps its scans. On the motorway nobody walks. By the
# canal half of all things are cyclists, and that car has driven little: it has a fifth of the others' objects. The
# streets are made up, the rays are cast one by one.
#
# ## Predict
#
# The cars train a common network by federated averaging. What does it give the canal car in its own town?

# %%
predict("11-rare-town")

# %%
reveal("11-rare-town")

# %% [markdown]
# ## Play
#
# Drag the street to turn and tilt it, lift the scanner, shorten its range. Below, every car has two columns: its own town
# on the left, the seven others on the right. Squares are cars alone, dashes the common network. A click on one of them
# goes to its town.

# %% tags=["panel"]
panel = fleet()
panel

# %% [markdown]
# Four things to find:
#
# 1. Echoes fall as $1/r^2$ with distance $r$. Why do poles lie below the line?
# 2. Press *Fog*. The dashed law bends: what is added to $1/r^2$?
# 3. Press *High scanner*, then set the lift to 0. Who profits from a tall lorry, and which ring of ground goes dark?
# 4. Press *3 bit, nearest*: every town loses. Which one loses far more? Then press *3 bit, stochastic*: what is given back?
#
# ## Explain
#
# A link with ▸ sets the panel above to what it speaks of (in JupyterLab, once the panel's cell has run).
#
# **Points have no order.** A network for images would see another picture if two points changed places. PointNet computes
# the same features $h(p)$ for every point $p$ and keeps the largest value of each:
#
# $$ f(p_1, \dots, p_n) = g\big(\max_i h(p_i)\big). $$

# %%
show_source(PointNet.forward)

# %% [markdown]
# `amax(1)` is the maximum over points. Shuffle them, repeat some of them: nothing changes but the rounding of sums.

# %% tags=["nbval-check-output"]
data = load("lidar")
net = make("pointnet", data, seed=0)
cloud = data.train_x[:100]
shuffled = cloud[:, torch.randperm(64, generator=torch.Generator().manual_seed(0))]
print("shuffled:", torch.allclose(net(cloud), net(shuffled), atol=1e-5))
print("half twice:", torch.allclose(net(cloud), net(torch.cat([cloud, cloud[:, :32]], 1)), atol=1e-5))
print("objects of each car:", torch.bincount(data.groups).tolist())

# %% [markdown]
# **Who gains?** A car's own network knows its own town. In the other seven it reads
# [0.83 ± 0.02](#claim-lidar-elsewhere-alone) of the things; the common network reads [0.94 ± 0.01](#claim-lidar-elsewhere-together). Now
# the canal. Its car gains [29 ± 4](#claim-lidar-rare-elsewhere) points elsewhere, far more than the mean. At home it gains
# [-2 ± 6](#claim-lidar-rare-home), which is nothing within the spread. The average weighs cars by objects. With 28 of
# 1000 objects the canal has about 3 % of the say, and cyclists hardly stand anywhere else.
#
# **Who pays?** [Quantize the uploads ▸](#fleet-656RETBW0-PKAC) to 3 bits, with the range of the largest weight and
# nearest rounding. The other towns lose [5 ± 2](#claim-lidar-lost-others) points on average, the canal
# [13 ± 5](#claim-lidar-lost-rare). A likely reason: a car that moves a weight by less than half a step sees its move
# rounded away, in every round. Where seven cars push alike, enough of them cross the edge. For cyclists one car pushes,
# with 3 % of the say. [Stochastic rounding ▸](#fleet-656RETCV8-1HMA) keeps every move in expectation: the canal then
# loses [-4 ± 5](#claim-lidar-lost-rare-stochastic) points, nothing within the spread.
#
# **Fog.** An echo from range $r$ passes [the fog ▸](#fleet-4DA97WG20-DGWW) twice. It comes back with chance
# $e^{-2\alpha r}$, where $\alpha$ here is the attenuation of the air, not Dirichlet's concentration.

# %%
fog()

# %% [markdown]
# ## Check
#
# Small clouds are filled up with zeros to a common size. Write `pool(features, count)`: `features` is points × channels,
# only the first `count` points are real. Return the maximum over the real points, one number a channel.
# Stuck? `hint("11-pool")`, and at last `solution("11-pool")`.


# %% tags=["exercise"]
def pool(features, count):
    real = ...  # TODO: the points that are no padding
    return ...  # TODO: the largest value of each channel


check("11-pool", pool)

# %% [markdown]
# On paper: echoes fall as $1/r^2$, and fog adds $e^{-2\alpha r}$ with $\alpha=0.05$ a metre. How strong is the echo from 20 m, as a
# share of the one from 10 m?

# %%
check("11-fog", ...)

# %% [markdown]
# ## Paper
#
# There is none to compare with. Learning from a moving car's 3-D points is named in a single sentence, and no numbers
# could be found. So every row below is ours, on streets that we made up. The curve above is the law of Beer and Lambert,
# rebuilt by counting echoes.

# %% tags=["nbval-check-output"]
table("lidar")

# %% [markdown]
# The reader of the KITTI benchmark shows a real street for comparison. It needs three files that are not part of fqlab:
# point `FQLAB_DATA` at the folder that holds `kitti/`. Nothing else here needs them.

# %%
real_street()

# %% [markdown]
# ## Quiz

# %%
quiz("11")

# %% [markdown]
# ## Remember
#
# - A maximum over points makes a network blind to their order and number.
# - Cars learn together to read other towns; at home the common network can be no better than their own.
# - The mean hides who pays: few bits with nearest rounding cost the rare town several times what they cost the others.
#
# ## Next
#
# We weighed cars by their objects, so the rare town has little say. Is that fair? Weighing all cars alike, or a network
# of one's own as in lesson 09, would be other answers. Lesson 12 puts all systems on one plot.
