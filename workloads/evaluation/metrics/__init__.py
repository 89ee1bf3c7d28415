"""Numbers of predictions and of features, with their intervals."""
