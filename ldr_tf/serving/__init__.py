"""Serving a network: the exported graph and the files beside it."""
