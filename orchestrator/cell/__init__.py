"""One cell on a worker: run it, keep its state, leave its record."""
