"""`python -m tfp_realnvp`."""

import sys

from tfp_realnvp.cli import main

if __name__ == "__main__":
    sys.exit(main())
