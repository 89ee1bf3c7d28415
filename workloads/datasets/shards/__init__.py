"""Data sets in tar or Parquet shards: reading, writing and checking them."""
