"""What tests of commands share."""

import pytest


@pytest.fixture
def fakes_serve(monkeypatch):
    """Networks that are fakes, whose graphs nobody keeps, serve run folders as well."""
    monkeypatch.setattr(
        "ldr_tf.models.run.flow_function",
        lambda network, size: lambda *pair: [network(*pair).flow],
    )
