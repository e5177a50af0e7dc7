"""Hostile bytes: every decoder returns, or raises its own error. ``make fuzz`` runs 100 000 inputs on each of them."""
