"""Views derived from a trace: pure, iterative, standard library only."""
