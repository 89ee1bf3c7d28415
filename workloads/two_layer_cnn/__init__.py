"""SimCLR pre-training in two-layer CNNs (Zhang & Cao, arXiv 2409.18685): how many labels it saves,
on generated data.
"""
