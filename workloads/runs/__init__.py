"""One run, and the runs of a plan, without Ray and MLflow: checkpoints, records, processes."""
