"""MLflow's door to a bundle: a pyfunc that is logged as this source file, never as a pickle.

``mlflow.pyfunc.load_model("models:/quillflow@champion").predict(frame)`` reads the images of column ``image``.
"""

from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext

from htr.recogniser import Recogniser


class LineReader(PythonModel):
    """Reads encoded line images through the same recogniser that serves."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the bundle that was logged beside this file."""
        self._recogniser = Recogniser.load(context.artifacts["bundle"])

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return one row of text and confidence an image, in order."""
        readings = self._recogniser.read(model_input["image"])
        return pd.DataFrame({"text": [r.text for r in readings], "confidence": [r.confidence for r in readings]})


mlflow.models.set_model(LineReader())
