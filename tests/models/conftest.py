"""The networks, exports and server that tests in this folder share."""

from tests.servers import levels, moving_export, moving_run, serve

__all__ = ["levels", "moving_export", "moving_run", "serve"]
