"""SimCLR (Chen, Kornblith, Norouzi, Hinton 2020): contrastive pre-training of visual
representations.
"""
