"""``python -m voxid.cli``."""

import sys

from voxid.cli import main

sys.exit(main())
