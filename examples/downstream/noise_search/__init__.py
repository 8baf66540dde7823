"""A pretend library: it searches for the starting noise whose sample has some property."""

from noise_search.sampler import sample as sample
