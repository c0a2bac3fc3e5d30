"""Hooks that keep a training safe, and the memory format."""
