"""Learning that is checked: predictions, exercises, quizzes and progress, called from the notebooks."""

from fqlab.lessons.classroom import classroom
from fqlab.lessons.learn import (
    LESSONS,
    check,
    export_progress,
    hint,
    import_progress,
    lesson,
    predict,
    progress,
    reveal,
    solution,
)
from fqlab.lessons.quiz import answer, quiz
from fqlab.lessons.source import show_source

__all__ = [
    "LESSONS", "answer", "check", "classroom", "export_progress", "hint", "import_progress", "lesson", "predict",
    "progress", "quiz", "reveal", "show_source", "solution",
]  # fmt: skip
