"""Ways to judge a trained encoder, a module each."""
