"""Learning that is checked: predictions, exercises, quizzes and progress, called from the notebooks."""

from fqlab.lessons.classroom import classroom
from fqlab.lessons.contents import LESSONS, lesson
from fqlab.lessons.grading import check, hint, solution
from fqlab.lessons.guess import predict, reveal
from fqlab.lessons.progress import export_progress, import_progress, progress
from fqlab.lessons.quiz import answer, quiz
from fqlab.lessons.source import show_source

__all__ = [
    "LESSONS", "answer", "check", "classroom", "export_progress", "hint", "import_progress", "lesson", "predict",
    "progress", "quiz", "reveal", "show_source", "solution",
]  # fmt: skip
