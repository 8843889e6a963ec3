"""The commands that the wheel installs."""
