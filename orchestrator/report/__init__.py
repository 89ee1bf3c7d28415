"""The answer to an ablation: as data, text and figures."""
