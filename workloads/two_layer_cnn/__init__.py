"""SimCLR pre-training in two-layer CNNs: how many labels it saves, on generated data.

Zhang & Cao, arXiv 2409.18685.
"""
