"""Runs at, or honestly near, the scale of the papers: arms, the store of their curves, and the numbers read off them."""
