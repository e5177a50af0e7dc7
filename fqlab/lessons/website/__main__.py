"""``python -m fqlab.lessons.website``."""

import sys

from fqlab.lessons.website.build import main

if __name__ == "__main__":
    sys.exit(main())
