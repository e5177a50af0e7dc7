"""What one learns with on a page without a kernel: questions, hints, the glossary, search; HTML here, scripts beside it."""
