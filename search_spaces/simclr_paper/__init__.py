"""The tables and figures of the SimCLR paper, a module each."""
