"""What readers of the SimCLR paper ask and the paper does not."""
