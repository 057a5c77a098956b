"""Densities at equal cost: of a PyTorch peer, of ours, and of ours with changes."""
