# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 10 · Bits on the wire
#
# *Open the packet: count every byte, flip one bit, cut one plane.*
#
# [![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/fqlab/fqlab/main?urlpath=lab/tree/notebooks/10_wire.ipynb)
#
# **Goals**
#
# - Say what a packet holds besides the codes, and when that matters.
# - See why plane-major order makes pruning a cut with scissors.
# - Know what an entropy coder does to the gain of a good clip.
#
# **Needs** lessons 02 and 03. **Minutes** 20 to read, about 5 seconds to run in 400 MB of memory. **Words** in the [glossary](GLOSSARY.md).

# %%
import torch

from fqlab.federation import Experiment, loopback, machines
from fqlab.lessons import check, hint, predict, quiz, reveal, show_source, solution
from fqlab.panels import packet
from fqlab.panels.views.packet import payload
from fqlab.papers import figures, table
from fqlab.quant import Grid, clip_for, expected_mse, quantize
from fqlab.wire import entropy, explain, pack, symbols

# %% [markdown]
# So far we counted bits with a formula: weights times *b*. Nobody sends a formula. A *packet* is a row of bytes that
# a stranger must be able to open. Which layers are in it? What shape? On which grid, with which clip? Did it arrive
# unharmed? All of this costs bytes too.
#
# ## Predict
#
# A thousand weights, three bits each. How long is the packet?

# %%
predict("10-thousand-codes")

# %%
reveal("10-thousand-codes")

# %% [markdown]
# ## Play
#
# Every cell of the map is a byte, dark for large values. The magnifier shows the bytes around the one you look at. The
# lower left picture counts bits a weight in four ways. **Fixed length** sends every code with the same bits.
# **Shannon** is the entropy $H = -\sum_q p_q \log_2 p_q$, where $p_q$ is the share of code $q$: no coder that takes
# codes one by one gets below it. **ANS** and **zstd** are two coders that try.

# %% tags=["panel"]
panel = packet()
panel

# %% [markdown]
# Four things to find:
#
# 1. Press *40 weights*. What fills this packet? From which size on may one forget the header?
# 2. Press *Flip a bit* and move along the packet. Is there a bit that nobody guards?
# 3. Press *Cut a plane*, then take the cut back. How many bytes come back, and where?
# 4. Choose *max-abs* and set the clip to 2, then to 2.1. Why does the packet shrink by 592 bytes only now? At 2, how many
#    weights still use the top plane?
#
# ## Explain
#
# A link with ▸ sets the panel above to what it speaks of (in JupyterLab, once the panel's cell has run).
#
# **Planes.** Write the codes below each other in binary. A packet sends the columns, not the rows: all highest bits
# first, then the next. Each column is a *bit plane*. The library's lines:

# %%
show_source(symbols.to_planes)

# %% [markdown]
# `used` is a mask of the planes that are not all zero. The others are not sent at all. So pruning the top plane of a
# layer does not pack anything again. Compare a packet with its pruned copy, plane by plane:

# %% tags=["nbval-check-output"]
packets = [pack(payload("digits", rule="max_abs", cut=cut)) for cut in (0, 1)]
before, after = ({f.name: p[f.start : f.stop] for f in explain(p)} for p in packets)
for name in [n for n in before if n.startswith("fc1.weight: ")]:
    changed = sum(a != b for a, b in zip(before[name], after[name], strict=False))
    print(f"{name:24} {len(before[name])} bytes, then {len(after[name])}; {changed} changed")

# %% [markdown]
# The top plane is gone, and the packet falls from [3616 bytes ▸](#packet-XKEZGM0-TBJ1) to
# [3024 bytes ▸](#packet-XKHEXMG-P52B). The planes below it are the same to the last bit. Only signs changed: a weight
# that became zero has lost its sign.
#
# **Entropy.** Clipping helps because it spends all levels where the weights are. Max-abs leaves its outer levels almost
# empty. An entropy coder gives short words to frequent codes, and long words to rare ones. So empty levels cost next to
# nothing. What is then left of the clip's gain?

# %% tags=["nbval-check-output"]
x = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
for rule, grid in (("max_abs", Grid(4)), ("octav", Grid(3))):
    clip = clip_for(rule, x, grid, level_aware=True)
    mse = float(expected_mse(x, clip, grid))
    rate = entropy(quantize(x, clip, grid))
    print(f"{rule:7} squared error {mse:.3f}: {grid.bits} bit at fixed length, {rate:.2f} bit by Shannon")

# %% [markdown]
# Sixteen levels or eight, a clip or none: coded, they cost the same. Now at exactly the same error. With sixteen levels
# OCTAV saves [0.66 ± 0.03](#claim-wire-clip-fixed) bits a weight over max-abs. After ideal coding the saving is
# [-0.12](#claim-wire-clip-coded): it has turned into a cost. The coder had the gain already, and max-abs spoils no large
# weight.
#
# **Two processes.** Now send real packets. The next cell starts a second Python process, the server. Three clients in
# this process connect to it over a socket of this machine, upload, and get the average back. One bit of client 1 is
# flipped on the way.

# %%
packets = [bytearray(pack(payload("digits", seed=seed))) for seed in range(3)]
packets[1][2000] ^= 1
done = loopback.exchange([bytes(p) for p in packets])
print("packets", [len(p) for p in packets], "on the socket", done.sent, "the server heard", done.heard)
print("way down", done.received, "from another process:", done.apart)
print(*done.left_out)

# %% [markdown]
# Both ends count the same bytes. Each packet has [8](#claim-wire-socket) bytes more on the socket than in the ledger: its
# length goes ahead. The damaged packet was left out and named, and the round went on. The way down is several times
# longer than the way up: it is 32 bit.
#
# **Many machines.** [Flower](https://flower.ai) is a framework that runs a federation on many machines. The engine `flower`
# starts a server and two nodes, each in a process of its own. The clients live on the nodes. The same three rounds run
# twice, on one machine and through Flower. Flower carries our packets unopened, so both ledgers must say the same.

# %%
three_rounds = Experiment(method="fedpaq", options={"bits": 2}, rounds=3)
print(*machines.side_by_side(three_rounds), sep="\n")

# %% [markdown]
# Do fewer bits save time? On one machine they do not: a round waits for training and for the framework. They do where the
# line is slow. For the next picture a server and two nodes were three hosts, with a slow line to each node. On the left
# each curve is a line of another rate. A line is also long, and it loses things: on the right all have one megabit a second. In
# a round a node asks nine times and waits for each answer, so a delay costs nine times there and back. What is lost TCP sends
# again after a wait. Dashed is arithmetic: what a round takes at least. Where will fewer bits save most?

# %%
figures.figure("10-hosts")

# %% [markdown]
# *Measured on a busy machine, and stored: the middle of eight rounds. Ten clients send the digits network. The way down
# is 32 bit always, and Flower's own messages weigh more than two-bit packets do, so two bits cannot be sixteen times as fast.
# Nodes look for work twice a second, and part of a delay hides in that waiting. Losses were expected to hurt long packets most. They
# did not: most of what a two-bit round sends is Flower's own, and gets lost as well.*
#
# ## Check
#
# Write `pack_planes(codes, bits)` yourself: a list of byte values, plane by plane, highest plane first. In each plane the first
# code sits in the highest bit, and zeros fill the last byte. Stuck? `hint("10-pack")`, and at last `solution("10-pack")`.


# %% tags=["exercise"]
def pack_planes(codes, bits):
    values = []
    for plane in reversed(range(bits)):
        digits = ...  # TODO: bit number `plane` of every code
        ...  # TODO: eight digits a byte, the first one highest; zeros at the end
    return ...  # TODO: values


check("10-pack", pack_planes)

# %% [markdown]
# On paper: codes 0, 1, 2 and 3 come with chances 1/2, 1/4, 1/8 and 1/8. How many bits a code does the best coder need?

# %%
check("10-entropy", ...)

# %% [markdown]
# ## Paper
#
# The network of the clipped-quantization paper has 81 848 quantized weights. At 2-2-2-2 its codes are 16 times
# smaller than 32-bit weights. The formula that counts clips, biases and BatchNorm gives
# [14.916](#claim-wire-formula-2222). A packet that also carries running statistics and a header gives
# [13.76](#claim-wire-packet-2222). Up and down together: [1.86](#claim-wire-both-ways-2222).

# %% tags=["nbval-check-output"]
table("wire")

# %%
figures.figure("10-uplinks")

# %% [markdown]
# *Bars: real packets of this library, weights drawn from a bell curve. Ticks and the column "codes alone": bits of codes,
# counted from the authors' public code. The paper prints no bytes that we could read.*
#
# ## Quiz

# %%
quiz("10")

# %% [markdown]
# ## Remember
#
# - A size is the length of a packet. A formula forgets names, clips, statistics and checksums.
# - Plane-major order turns pruning a bit plane into leaving out a slice.
# - An entropy coder already has most of what a good clip wins, so compare methods after coding too.
#
# ## Next
#
# Our socket sends everything in the clear and averages only once; `fqlab flower app` writes a federation of your own, encrypted.
# And the header is the same in every round: one could send it once. Lesson 11 takes the same packets to cars with LiDAR.
