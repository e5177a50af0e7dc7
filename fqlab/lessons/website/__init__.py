"""The course on paper: a static site of all lessons run, and slides, readable without kernel and without network."""

from fqlab.site.build import build_site, build_slides

__all__ = ["build_site", "build_slides"]
