"""What computes the flow of a pair: networks here, exported ones, and those on a server."""

from ldr_tf.models.loading import load_model

__all__ = ["load_model"]
