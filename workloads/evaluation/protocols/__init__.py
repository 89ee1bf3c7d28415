"""Ways to evaluate a trained encoder, a module each."""
