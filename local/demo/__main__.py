"""``python -m local.demo``."""

import sys

from local.demo.steps import main

if __name__ == "__main__":
    sys.exit(main())
