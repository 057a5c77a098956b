"""What densities flows reach at equal cost: a PyTorch peer, ours, ours changed."""
