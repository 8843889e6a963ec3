"""Nipype without a look for newer versions, which needs a network."""

import os

os.environ.setdefault("NIPYPE_NO_ET", "1")
