"""Ray clusters: connect to one, start one, send a job to one."""
