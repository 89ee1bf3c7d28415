"""Plans an ablation's cells, runs them on Ray, records them in MLflow and draws the answer."""
