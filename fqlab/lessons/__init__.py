"""What stands behind the lessons: exercises, hints, checks, quizzes and the builder of the notebooks."""

from __future__ import annotations

__all__: list[str] = []
