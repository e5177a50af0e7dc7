"""One file a lesson: its prediction, its exercise with the usual mistakes, its quiz."""
