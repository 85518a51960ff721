"""``python -m local.whop_check``."""

import sys

from local.whop_check.questions import main

if __name__ == "__main__":
    sys.exit(main())
