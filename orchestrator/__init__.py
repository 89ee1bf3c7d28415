"""Plans the cells of an ablation, runs them on Ray, records them in MLflow and draws the answer beside the paper's."""
