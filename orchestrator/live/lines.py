"""What is said of a sweep in plain lines, where there is no terminal."""

from orchestrator.run_record import Metrics

__all__ = ["standing"]


def standing(epochs: int, metrics: Metrics) -> str:
    """Say where a cell stands: `epoch 46 of 150, loss 5.457, 16,179 images/s`."""
    parts = [f"epoch {metrics.get('epoch', 0):.0f} of {epochs}"]
    if "loss" in metrics:
        parts.append(f"loss {metrics['loss']:.3f}")
    if "images_per_second" in metrics:
        parts.append(f"{metrics['images_per_second']:,.0f} images/s")
    return ", ".join(parts)
