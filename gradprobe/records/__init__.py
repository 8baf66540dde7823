"""What was seen, as frozen plain data: no tensors, no torch, standard library only."""
