"""Commands for research: each turns flags into a config and makes one call of the library."""
