"""Commands for research: each turns flags into a config and makes one call of the library."""

import ldr_tf  # noqa: F401  (sets up TensorFlow, so it comes before it)
