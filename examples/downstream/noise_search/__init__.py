"""A pretend library: it searches for the starting noise whose sample has some property."""

from noise_search.euler import euler as euler
from noise_search.guidance import Guided as Guided
from noise_search.sampler import sample as sample
from noise_search.search import search as search
