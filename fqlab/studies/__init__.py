"""One function a claim: ``f(seed, scale)`` gives the number."""
