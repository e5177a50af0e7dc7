"""Panels that play without a kernel: every state worth visiting is computed when the site is built, and stored as pictures."""

from fqlab.lessons.website.play.section import section
from fqlab.lessons.website.play.visits import build_store

__all__ = ["build_store", "section"]
