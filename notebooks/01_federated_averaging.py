# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 01 · Federated averaging
#
# *Learn from data that never leaves home.*
#
# [![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/fqlab/fqlab/main?urlpath=lab/tree/notebooks/01_federated_averaging.ipynb)
#
# **Goals**
#
# - See when an average of models is better than each of them, and when it is worse than all of them.
# - Tell local epochs, label skew and participation apart, and what each does to the clients' drift.
# - Write the server's average.
#
# **Needs** lesson 00. **Minutes** 20 to read, about 4 seconds to run in 400 MB of memory. **Words** in the [glossary](GLOSSARY.md).

# %%
from fqlab.aggregate import mean
from fqlab.lessons import check, hint, predict, quiz, reveal, show_source, solution
from fqlab.methods import Method
from fqlab.panels import drift
from fqlab.papers import table
from fqlab.papers.figures import figure
from fqlab.studies.fedavg import fedsgd_distance, ten

# %% [markdown]
# A server wants one network. The images that could train it lie with ten clients and stay there. *Federated
# averaging* repeats one round:
#
# 1. the server sends its weights to the clients;
# 2. each client trains them for a few **local epochs** (passes over its own images);
# 3. each client sends its weights back, and the server takes their average.
#
# Nothing else travels. But why should an average of networks be a good network?
#
# ## Predict
#
# Take ten networks of the same shape. Each is trained on its own tenth of the digits, from random weights of its own.
# Each is good. Now average them, weight by weight.

# %%
predict("01-own-starts")

# %% [markdown]
# Move the slider and press the button, or type `predict("01-own-starts", your_number)`. Then run the next cell.

# %%
reveal("01-own-starts")

# %% [markdown]
# The second question. Labels are *skewed*: a client sees few of the ten digits. **α** says how strongly, small is
# strong (each digit is shared out by a Dirichlet(α) draw). A client that trains longer alone learns more, and forgets
# more of what it does not see.

# %%
predict("01-epochs")

# %%
reveal("01-epochs")

# %% [markdown]
# ## Play
#
# Press the presets from left to right. Below, each blue triangle is a client's model *before* the average, tested on
# all ten digits. The green curve is the average. Upper right: from the server's point every client goes its own way,
# a *fan*; how far the fan opens is the **drift**. The picture shows two of the network's 4810 directions, the number in
# its title counts all of them.

# %% tags=["panel"]
panel = drift()
panel

# %% [markdown]
# Four things to find:
#
# 1. *Skewed*. No client ever reads more than three quarters of the digits. Their average does. From which round on?
# 2. *10 epochs*. Compare with the grey curve. How many rounds does the extra work save?
# 3. *Own starts*. Look at the first two dots of the green curve, round 1 and round 2. What has changed for the clients?
#    (It asks the first question once more, with another draw and ten epochs instead of thirty.)
# 4. *2 clients a round*. Who is missing from the average now, and how does the curve show it?
#
# ## Explain
#
# A link with ▸ sets the panel above to what it speaks of (in JupyterLab, once the panel's cell has run).
#
# **One start.** Here are the ten networks of the first question and their average, over the same three draws. First
# from ten starts, then from one. The images and the arithmetic are the same.

# %% tags=["nbval-check-output"]
for own, name in ((True, "ten starts"), (False, "one start ")):
    draws = [ten(own, seed) for seed in range(3)]
    each = sum(sum(members) / 30 for members, _ in draws)
    together = sum(average_model / 3 for _, average_model in draws)
    print(f"{name}: a client reads {each:.1f} of the digits, their average {together:.1f}")

# %% [markdown]
# To two digits, the average of ten starts reads [0.53 ± 0.11](#claim-fedavg-own-average). From one start it reads
# [0.03 ± 0.01](#claim-fedavg-one-start) *more* than its members do on average; more than the
# best of them is *not seen*, [0.002 ± 0.003](#claim-fedavg-one-start-best).
#
# Nothing in a network says which hidden unit does which job. Swap two units with all their weights and the network
# computes the same. Networks from different starts give the jobs to different units, and the average mixes them.
# From one start the jobs stay in place. That is why the server sends *its* weights first.
#
# **One step.** Let client *k* hold $n_k$ images, and let $F_k(w)$ be its mean loss at the weights $w$. The loss on all
# $n$ images together is
#
# $$F(w) = \sum_k \frac{n_k}{n} F_k(w), \qquad n = \sum_k n_k .$$
#
# Suppose each client makes a single gradient step of size η on all its images, $w_k = w - \eta \nabla F_k(w)$. Then
#
# $$\sum_k \frac{n_k}{n} w_k = w - \eta \nabla F(w).$$
#
# This is gradient descent on all the data, however the labels are dealt. The paper calls it *FedSGD*. One round of it
# on skewed clients, against one step on everything:

# %% tags=["nbval-check-output"]
print(f"equal up to the rounding of float32: {fedsgd_distance(0) < 1e-6}")

# %% [markdown]
# **Many steps.** After the first step each client follows its own slope at its own place, and the identity is gone. The
# clients drift. More local epochs mean more learnt in a round, and a wider fan: compare the drift of round 1 in *Even
# labels* ([0.25 ▸](#drift-AZJ0-JQ1H)), *Skewed* ([1.2 ▸](#drift-1FKE0-5PVM)) and *10 epochs*
# ([2.9 ▸](#drift-1G50G-TNHM)). On these digits the first effect wins, even with strong skew:
# [0.934 ± 0.011](#claim-fedavg-skew-10) with ten epochs against [0.889 ± 0.007](#claim-fedavg-skew-1) with one, after
# 20 rounds and for the same bytes. Drift still has its price: the same number of steps spread over 200 rounds reaches
# [0.963 ± 0.002](#claim-fedavg-skew-patient).
#
# The library's own lines, the average and how the server calls it:

# %%
show_source(mean)

# %%
show_source(Method.aggregate)

# %% [markdown]
# ## Check
#
# Write that average yourself: a function of `weights`, an array [clients, d], and `samples`, the $n_k$. Fill in
# the TODOs. `hint("01-average")` helps in three steps, `solution("01-average")` shows one answer.


# %% tags=["exercise"]
def average(weights, samples):
    share = ...  # TODO: of all images, a number a client
    return ...  # TODO: the clients' weights, weighed by their shares


check("01-average", average)

# %% [markdown]
# Now on paper, with two hidden units. $f(x)=v_1\max(0,u_1x)+v_2\max(0,u_2x)$. Network *A* has $u=(1,-1)$, $v=(1,1)$, so it
# computes $|x|$. *B* is *A* with its units swapped: $u=(-1,1)$, $v=(1,1)$. Average the weights. What does the average give
# for $x=3$?

# %%
check("01-swap", ...)

# %% [markdown]
# ## Paper
#
# McMahan and others gave the method its name and its first numbers ([arXiv 1602.05629](https://arxiv.org/abs/1602.05629)). The first table
# holds their statements against our runs; what stands in the second is ours alone.

# %% tags=["nbval-check-output"]
table("fedavg")

# %% [markdown]
# Their Table 2 counts rounds until a convolutional network reads 99 % of MNIST: with images
# dealt evenly, five local epochs in batches of ten need [31.3](#claim-fedavg-rounds-even) times fewer rounds than FedSGD.
# Here, dealt evenly too but on other data and with another network, it is [19.4 ± 1.5](#claim-fedavg-rounds-even) times fewer.
# On MNIST, where each client holds two labels, [2.8 ± 0.9](#claim-fedavg-shards) times fewer are left.
#
# Their Figure 1, rebuilt. Take two networks *A* and *B*, and walk in a straight line from one to the other:
# $\theta A + (1 - \theta) B$. Both ends are good. The middle, θ = ½, is the average.

# %%
figure("01-between")

# %% [markdown]
# ## Quiz

# %%
quiz("01")

# %% [markdown]
# ## Remember
#
# - Models can be averaged because they left from the same point a short while ago.
# - Local epochs trade computation and drift for rounds; a round costs the same bytes whatever happens inside.
# - The average weighs clients by $n_k$, and after one full-batch step it is exactly gradient descent on all data.
#
# ## Next
#
# Each round still sends every weight with 32 bits, down and up. What could fewer bits mean? Lesson 02 opens the word
# *bit*. And still unsolved here: a client whose digits nobody else has is outvoted in every round.
