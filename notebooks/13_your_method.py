# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 13 · Your method
#
# *Change two lines, and one bit is enough.*
#
# [![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/fqlab/fqlab/main?urlpath=lab/tree/notebooks/13_your_method.ipynb)
#
# **Goals**
#
# - Write the two hooks of a method: what a client sends, and what the server makes of it.
# - See what one bit is worth when it says *how far to move* instead of *where to be*.
# - Put your own point on the frontier, and say on which axis it loses.
#
# **Needs** lessons 02, 04 and 12. **Minutes** 30 to read and write, about 4 seconds to run in 400 MB of memory. **Words** in the [glossary](GLOSSARY.md).

# %%
from dataclasses import dataclass

from fqlab import federation, papers, wire
from fqlab.lessons import check, hint, predict, quiz, reveal, show_source, solution
from fqlab.methods import METHODS, ClientUpdate, Method, make
from fqlab.panels import frontier
from fqlab.quant import Grid, max_abs, quantize
from fqlab.studies import frontier as stored
from fqlab.studies import rivals

# %% [markdown]
# In twelve lessons clients sent their weights. The server had sent them weights a moment before. Most of what comes back
# it knows already.
#
# ## Predict
#
# The same bits, the same bytes, another question asked of them.

# %%
predict("13-differences")

# %%
reveal("13-differences")

# %% [markdown]
# ## Play
#
# Here is a whole method. A client quantizes each layer to one bit, by the largest weight and a coin toss. The server
# averages. It runs as it stands, and it is bad.
#
# This is the only cell of the course that is yours. Two lines say TODO. Run everything once as it is, then change them.


# %% tags=["your-method"]
@dataclass(frozen=True)
class MyMethod(Method):
    bits: int = 1

    def upload(self, params, buffers, problem, client):
        sent = {n: params[n] for n in params}  # TODO: what changed: params[n] minus problem.params[n]
        draw = client.generator("upload")
        grid = Grid(self.bits)
        codes = {n: quantize(sent[n], max_abs(sent[n]), grid, "stochastic", draw) for n in client.spec.quantizable}
        return ClientUpdate(wire.Payload(codes, {n: sent[n] for n in sent if n not in codes}))

    def aggregate(self, server, updates):
        samples = [u.samples for u in updates]
        came = [u.payload.decode() for u in updates]
        mean = {n: self.average([sent[n] for sent in came], samples) for n in server.weights}
        return server.next({n: mean[n] for n in server.weights})  # TODO: server.weights[n] plus mean[n]


# %% [markdown]
# Below is lesson 12's plane, and the star is your method. Change the cell above, run it, run this one again. Presets and
# *Reset* start from your method, too.

# %% tags=["panel"]
panel = frontier(method=MyMethod())
panel

# %% [markdown]
# Three things to find:
#
# 1. As it came: where does the curve go after the first rounds, up or down? More bits: how many does it need for 90 %?
# 2. With one TODO done and the other not: which half alone is worse than none? Say why before you look.
# 3. With both done, set *Bytes* to *up and down*. Who is cheaper now, and by what?
#
# The panel takes any method. With `make("fedpaq", {"bits": 1, "clip": "octav", "rounding": "nearest", "feedback": True})`
# each client keeps a residual. A ticket holds settings, not code. Yours says *own*, and asks whoever opens it for a class.
#
# Side by side, at one bit, thirty rounds:

# %%
race = federation.Experiment(lr=0.3, batch_size=32, rounds=30, evaluate_every=30, engine="vectorized")
for method in (MyMethod(), make("fedpaq", {"bits": 1}), make("eden", {"bits": 1}), make("sign")):
    records = list(federation.Federation(race, method=method))
    up, down = (sum(getattr(r, way) for r in records) / 1000 for way in ("bytes_up", "bytes_down"))
    print(f"{type(method).__name__:9s} accuracy {records[-1].accuracy:.3f}, {up:.0f} kB up, {down:.0f} kB down")

# %% [markdown]
# ## Explain
#
# One bit has two levels, $-s$ and $s$, and every number is rounded to one of them. The error is as large as $s$. For
# weights, $s$ is the largest weight of the layer. For differences it is the largest *change*, which is far smaller, and
# shrinks when training converges:
#
# $$w \leftarrow w_0 + \frac{\sum_k n_k\, Q(w_k - w_0)}{\sum_k n_k}.$$
#
# This is FedPAQ, by Reisizadeh and others ([arXiv 1909.13014](https://arxiv.org/abs/1909.13014)). A link with ▸ sets the
# panel above to what it speaks of, and *Reset* brings your method back. FedPAQ at one bit reads
# [95.3 % ▸](#frontier-5K4VVE4R-ABR0). For the same bytes *clipped both ways* reads [83 % ▸](#frontier-5HWBF24R-28Z0). Count
# up and down, and FedPAQ's run is at [6209 kB ▸](#frontier-2Q0JQQ64R-QP04). In the library the server's half is

# %%
show_source(METHODS["fedpaq"].aggregate)

# %% [markdown]
# and a layer's way into the packet

# %%
show_source(METHODS["fedpaq"].encode)

# %% [markdown]
# A coin toss is right on average. Rounding to nearest is not, so a client may keep what was withheld, the *residual*,
# and add it to its next difference. That is error feedback. It asks for memory at the client, and a client who is drawn
# once in ten rounds brings back an old residual.
#
# ## Check
#
# First on plain arrays, with error feedback. The client's half:


# %% tags=["exercise"]
def upload(received, trained, residual, step):
    change = ...  # TODO: what training changed, and what was withheld before
    sent = ...  # TODO: the change in multiples of step
    return ...  # TODO: two rows, what is sent and what is withheld


check("13-upload", upload)

# %% [markdown]
# The server's half:


# %% tags=["exercise"]
def aggregate(old, sent, samples):
    return ...  # TODO: the old weights, and the mean of what was sent, by samples


check("13-aggregate", aggregate)

# %% [markdown]
# Now the class. Your clients' packets are measured beside FedPAQ's, and your server is fed with FedPAQ's packets.

# %%
check("13-method", MyMethod)

# %% [markdown]
# Stuck? `hint("13-method")` gives three hints, one by one; `solution("13-method")` gives it away. The other two are
# `"13-upload"` and `"13-aggregate"`.
#
# On paper: a client's weight changes by 0.3 in each of three rounds. It rounds to whole numbers and adds the residual to the next
# change. What is the residual after the third round?

# %%
check("13-residual", ...)

# %% [markdown]
# ## Paper
#
# Others send differences too, with more care. EDEN rotates them first, UVeQFed subtracts the dither again, signSGD lets
# signs vote.

# %% tags=["nbval-check-output"]
papers.table("rivals")

# %% [markdown]
# One bit a weight, with OCTAV's clip: [0.69 ± 0.02](#claim-rivals-weights-1). One bit a difference, the same bytes:
# [0.95](#claim-rivals-fedpaq-1). EDEN's estimate errs by [0.57](#claim-rivals-eden-error-1) of the change's square at one
# bit, as its theory says. Every setting at one bit, three seeds:

# %% tags=["nbval-check-output"]
for row in rivals.rows():
    if row.data == "digits" and ("1 bit" in row.name or row.name.startswith("sign")):
        keeps = "a residual at the client" if row.state else "-"
        print(f"{row.name:30s} {row.mean['accuracy']:.3f} ± {row.spread['accuracy']:.3f}  keeps {keeps}")

# %% [markdown]
# Among those that send differences nobody wins by more than the seeds differ. Your lines hold their own against three
# papers. Now count both ways, in kilobytes to 90 %:

# %% tags=["nbval-check-output"]
for family in ("fedavg", "clipped", "both", "fedpaq", "eden", "sign"):
    found = [stored.cheapest(family, "even", "everyone", 0.9, cost) for cost in stored.COSTS]
    print(f"{family:8s}", *(f"{cost} {p.cost(cost) / 1000:5.0f}" for p, cost in zip(found, stored.COSTS, strict=True)))

# %% [markdown]
# On the way up your method is among the lightest. Up and down it costs four times what *clipped both ways* does: the way
# down is still 32 bit.
#
# ## Quiz

# %%
quiz("13")

# %% [markdown]
# ## Remember
#
# - A method is two hooks: what a client sends, and what the server makes of it.
# - Send what the server does not know yet. One bit of a change beats one bit of a weight.
# - A saving on one way is paid for somewhere: bytes down, memory at the client, or clients who must not miss a round.
#
# ## Next
#
# A class in a notebook runs on this machine only. Put it into a module, and TOML and the command line find
# it by its address: `fqlab run --method package.module:MyMethod`. Then give it a way down: `download` and
# `prepare` are hooks as well. How few bits does a federation need in both directions, and how old may a residual grow?
