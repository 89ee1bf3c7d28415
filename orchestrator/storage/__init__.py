"""Where results lie: files in a folder or an object store, by the names of the folders there."""

from orchestrator.storage.files import Storage, without_password

__all__ = ["Storage", "without_password"]
