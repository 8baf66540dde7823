"""Breaks put into healthy samplers, one at a time, and whether gradprobe names each one's line."""
