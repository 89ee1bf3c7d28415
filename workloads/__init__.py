"""The science: SimCLR and what judges it. Knows neither Ray nor MLflow nor the command line."""
