"""What people see of a sweep while it runs: how far each run is, drawn, written and foretold."""
