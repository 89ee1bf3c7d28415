"""SimCLR (Chen, Kornblith, Norouzi, Hinton 2020): contrastive learning of representations."""
