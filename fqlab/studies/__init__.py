"""Experiments that lessons, panels and claims share.

A recipe is a function that gives one number. It takes ``seed`` and ``scale`` if it needs them, and what its row in the
claims gives as ``args``.
"""
