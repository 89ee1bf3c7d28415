"""What Zhang and Cao (arXiv 2409.18685) prove of two-layer CNNs, a module for each question."""
