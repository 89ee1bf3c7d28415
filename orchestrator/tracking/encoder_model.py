"""An encoder as a logged model of MLflow, which loads where none of our packages are.

It is a program of torch.export: operations and weights, and no class of ours.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__all__ = ["NAME", "LoggedEncoder", "ModelError", "save_encoder"]

NAME = "encoder"


class ModelError(Exception):
    """An encoder that cannot be written as a program."""


EXAMPLES = 2  # of one image an export keeps that there is one


@dataclass(frozen=True)
class LoggedEncoder:
    """A network in inference mode, on the CPU.

    It takes images [N, 3, `side`, `side`] in [0, 1] and gives features [N, D].
    """

    network: "nn.Module"
    side: int


def save_encoder(encoder: LoggedEncoder, folder: Path, run_id: str) -> None:
    """Write the model into a new folder, with its signature and an example of its input.

    Raises ModelError for a network that torch.export cannot follow.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of its own modules
        try:
            _save(encoder, folder, run_id)
        except OSError:
            raise
        except Exception as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelError(f"torch.export cannot follow it: {first[:200]}") from error


def _save(encoder: LoggedEncoder, folder: Path, run_id: str) -> None:
    import mlflow.pytorch
    import numpy as np
    import torch
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    shape = (EXAMPLES, 3, encoder.side, encoder.side)
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features = encoder.network(images)
    number = np.dtype(np.float32)
    signature = ModelSignature(
        inputs=Schema([TensorSpec(number, (-1, *shape[1:]))]),
        outputs=Schema([TensorSpec(number, (-1, *features.shape[1:]))]),
    )
    mlflow.pytorch.save_model(
        encoder.network,
        str(folder),
        mlflow_model=Model(run_id=run_id),
        signature=signature,
        input_example=images.numpy(),
        # said, for MLflow would run the model in another process to find out
        pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}", "numpy", "mlflow"],
        serialization_format="pt2",
    )
