"""``python -m fqlab.site``."""

import sys

from fqlab.site.build import main

if __name__ == "__main__":
    sys.exit(main())
