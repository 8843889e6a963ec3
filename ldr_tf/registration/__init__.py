"""The registration of two scans in physical space."""
