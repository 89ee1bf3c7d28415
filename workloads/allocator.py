"""How the C library hands out memory to processes that train: set before they are started."""

__all__ = ["VARIABLES"]

# glibc returns large blocks to the system at every step and faults them in again: up to 1.6 times
# slower on CPU. Other C libraries ignore these.
VARIABLES = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "4294967296"}
