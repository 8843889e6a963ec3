"""A network as a service: the graph that is exported, what lies beside it, and the client."""
