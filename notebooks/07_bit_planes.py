# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 07 · Bit planes
#
# *Weights as stacks of bits: empty a plane, and it falls off for nothing.*
#
# [![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/fqlab/fqlab/main?urlpath=lab/tree/notebooks/07_bit_planes.ipynb)
#
# **Goals**
#
# - Take a layer apart into bit planes, and put it together again.
# - See how a penalty on whole planes finds a bit-width for every layer, while the network trains.
# - Count a mixed-precision network as the papers do, to the last bias.
#
# **Needs** lesson 02. **Minutes** 25 to read, about 5 seconds to run in 440 MB of memory. **Words** in the [glossary](GLOSSARY.md).

# %%
from fqlab.lessons import check, hint, predict, quiz, reveal, show_source, solution
from fqlab.panels import figures, planes
from fqlab.panels.views.planes import recording
from fqlab.papers import table
from fqlab.papers.figures import figure
from fqlab.quant import Grid, adjust, msb_density, prune_msb

# %% [markdown]
# How many bits does a layer need? Lesson 02 set one number for all layers, by hand. Bit-level sparsity (BSQ) lets the
# training find a number for each.
#
# Write every weight $w$ of a layer as a sign and $n$ binary digits:
#
# $$ w = \pm\frac{s}{2^n-1}\,\bigl(2^{n-1}B_{n-1} + \dots + 2\,B_1 + B_0\bigr), \qquad B_b \in \{0, 1\}. $$
#
# $s$ is the largest weight, the *scale*. The digits $B_b$ of all weights of the layer are its **bit plane** $b$. Plane 0
# holds the lowest bits (LSB), plane $n-1$ the highest (MSB). A 64 × 64 layer at 8 bits is a stack of eight
# black-and-white pictures, and a sign.
#
# BSQ trains the digits themselves, as real numbers between 0 and 2. Its penalty pulls on *whole planes*, on all of them
# alike. A plane that is empty for the whole layer can be cut off.
#
# ## Predict
#
# A trained network at 8 bits, planes 0 to 7. Now the penalty starts to pull. Which plane of the first layer is the
# first to be empty?

# %%
predict("07-first-plane")

# %% [markdown]
# Move the slider and press the button, or type `predict("07-first-plane", your_number)`. Then run the next cell.

# %%
reveal("07-first-plane")

# %% [markdown]
# ## Play
#
# Above: the weights of layer 1, and the planes they are the sum of. Blue is +1, orange −1. Below: the bits of all
# tensors, epoch by epoch, and what they do to the accuracy. Press the presets from left to right.

# %% tags=["panel"]
panel = planes()
panel

# %% [markdown]
# Four things to find:
#
# 1. Go to **Epoch shown** and walk with the arrow keys from 0 to 24. Which planes look like noise? Which look like
#    the weights?
# 2. With α = 0.02 the accuracy falls below the start, and fine-tuning brings all of it back. Fine-tuning may
#    change no bit-width. What, then, was found?
# 3. *All layers alike*: which tensors lose their bits now, and how much smaller does the network get?
# 4. *Too much*: find the largest α from which fine-tuning still recovers.
#
# ## Explain
#
# A link with ▸ sets the panel above to what it speaks of (in JupyterLab, once the panel's cell has run).
#
# **Why the top plane?** The penalty of a layer is $\alpha \sum_b \lVert B_b \rVert_2$, the *group lasso*. Its slope on
# one digit is $B/\lVert B_b \rVert_2$. The top plane has few ones, [2.8 % ▸](#planes-YAA3GG-6W2X) of layer 1, so its
# norm is small, and each of them is pulled harder. The low planes are half full: they are the remainders of the
# weights, and remainders are noise. As soon as rounding makes digits out of real numbers again, they are full again.
#
# The cut itself is short. This is all of it:

# %%
show_source(adjust)

# %% [markdown]
# Look at layer 1 just before its first cut, with the top plane empty. The cut takes it off. What happens to the
# weights?

# %%
run = recording(0.02, True, 8, "both", 0.0, 0)
before = run.at(7).codes["fc1.weight"]
after = adjust(before)
moved = (after.dequantize() - before.dequantize()).abs().max() / before.dequantize().abs().max()

# %% tags=["nbval-check-output"]
print(
    f"{before.grid.bits} bits before, top plane used by {float(msb_density(before)):.0%}; {after.grid.bits} bits after."
)
print(f"Largest weight before the cut: code ≈ {int(before.values.abs().max())} of {before.grid.high}.")
print(f"A weight moves by {float(moved):.4f} of the largest.")

# %% [markdown]
# Not one weight has moved. The scale shrinks with the number of levels, so the step stays the same. Stripping is free:
# the accuracy was paid *before*, while the penalty emptied the plane.
#
# Cutting a plane that is *not* empty is another thing. Those who used it saturate:

# %%
codes = run.at(0).codes["fc1.weight"]
cut, left = prune_msb(codes, float(msb_density(codes)))
hit = cut.values != codes.values
print(f"Cut by force: {int(left)} bits left, {int(hit.sum())} of {hit.numel()} weights moved.")

# %% [markdown]
# **How low can it go?** One plane is the least. How many values has a 1-bit weight here?

# %% tags=["nbval-check-output"]
print("1 bit: ", Grid(1, "sign_magnitude").levels, "values;  2 bits: ", Grid(2, "sign_magnitude").levels, "values")

# %% [markdown]
# Three, not two: −s, 0 and s. The sign comes on top and *is not counted*, neither in the paper's bits per weight nor in
# its compression. A "1-bit" [layer ▸](#planes-23VYZPG-R44R) is ternary, and takes log₂ 3 = 1.58 bits at least. Lesson
# 02 has the same trap.
#
# ## Check
#
# Count like the paper. Write `f(layers)`. Every row of `layers` is `(kind, weights, bits)`, the kind being `"conv"`,
# `"fc"`, `"bias"` or `"shortcut"`. Shortcuts stay in full precision and are not counted; everything else is. Return the
# compression: 32 bits over the mean bits a weight.


# %% tags=["exercise"]
def compression(layers):
    for kind, weights, bits in layers:
        ...  # TODO: which rows count, and what do they add?
    return ...  # TODO: 32 bits over the mean bits a weight


check("07-compression", compression)

# %% [markdown]
# Stuck? `hint("07-compression")` gives three hints one by one, `solution("07-compression")` the answer.
#
# On paper: an 8-bit layer whose magnitudes are all 0, 4, 8 or 12. How many bits are left after the cut at both ends?

# %%
check("07-both-ends", ...)

# %% [markdown]
# ## Paper
#
# The published set-up is ResNet-20 on CIFAR-10, 350 epochs. The panel above has a network of 4 810 weights on digits. The
# two can be compared in their accounting, not in their accuracy. The last rows have the paper's network.

# %% tags=["nbval-check-output"]
table("bsq")

# %% [markdown]
# The count decides: HAWQ's scheme is [13.107](#claim-bsq-hawq) times smaller if the shortcuts stay out, and 11.76 times
# if they count at 32 bits. The ten biases of the last layer, counted or not, move the fourth decimal. On digits α = 0.02 leaves [4.6](#claim-bsq-bits-02) bits a weight at
# [0.96 ± 0.01](#claim-bsq-accuracy-02) accuracy. Before fine-tuning it was [0.90 ± 0.01](#claim-bsq-before-02).
#
# Is the search worth it, once its result is known? Take the network as it was before the bit planes, quantize it at once to
# the scheme that BSQ found, and fine-tune. The paper has BSQ ahead. For a ResNet-8 on Fashion-MNIST it is ahead by
# [-0.9 ± 2.5](#claim-bsq-resnet8-scratch) points: *not seen*.
#
# And ResNet-20 itself, on two of the five batches of CIFAR-10, with 60 epochs in bit planes instead of 350, one seed: α = 0.003
# leaves [5.25](#claim-bsq-resnet20-bits-003) bits a weight, 0.005 leaves [2.23](#claim-bsq-resnet20-bits-005) and 0.02
# [1.17](#claim-bsq-resnet20-bits-02). Fine-tuning brings them to [77.6](#claim-bsq-resnet20-after-003),
# [74.2](#claim-bsq-resnet20-after-005) and [70.7](#claim-bsq-resnet20-after-02) % accuracy.
# From scratch at the scheme of α = 0.005 it ends at [72.8](#claim-bsq-resnet20-scratch-005) %.
# [Layer by layer ▸](#figures-27G0-VMTZ) blocks go as a whole, the large ones first: a shortcut carries the image past them.
# [Without reweighing ▸](#figures-2D00-KNP2) it is the small ones that go.

# %%
figure("07-penalty")

# %% [markdown]
# The left half rebuilds the statement of the paper's Table 1: a larger α, fewer bits. The points and bars are ours
# (digits, three seeds); the star is the published ResNet-20. The right half is ours alone.

# %% [markdown]
# The paper's Figure 3 asks which layers pay, and its Figure 2 what [the reweighing ▸](#figures-1Q00-AEKW) has to do with
# it. Here are both for a ResNet-8 on digits, and with 4-bit activations on Fashion-MNIST ([layers ▸](#figures-1WG0-4M4F),
# [reweighing ▸](#figures-2200-APT8)); the paper's own bits by layer are not public. Hover over a point for its
# set-up. Click one, or walk along with *Point*: the card names the row above that it bears on, the line below holds its
# experiment, and *Run it again* computes it here and now.

# %% tags=["panel"]
paper = figures(figure="07-layers")
paper

# %% [markdown]
# ## Quiz

# %%
quiz("07")

# %% [markdown]
# ## Remember
#
# - A layer is a stack of bit planes; only planes at the two ends can be cut, and cutting an empty one changes nothing.
# - One penalty, weighed by what a layer costs, finds a bit-width for every layer. Without the weighing small tensors
#   pay and large ones do not.
# - Bits a weight leave out sign, scale and whatever is not quantized: read the count before you compare.
#
# ## Next
#
# Training eight planes costs eight times the memory of the weights, and α is one more number to guess. Too large an α
# destroys the network for good. And whose bits are these? Lesson 08 gives every device of a federation its own budget.
