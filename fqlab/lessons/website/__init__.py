"""The course on paper: a static site of all lessons run, and slides, readable without kernel and without network."""

from fqlab.lessons.website.build import build_slides, build_website

__all__ = ["build_website", "build_slides"]
