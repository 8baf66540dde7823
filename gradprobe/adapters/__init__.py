"""Where stages are: one file per sampler library."""
