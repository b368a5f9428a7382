"""Save a tiny checkpoint as TensorFlow does, for the readers' tests.

Run by hand, in an environment of its own (the last Transformers with TensorFlow), from the project's folder:

    python3.11 -m venv .venv-tensorflow
    .venv-tensorflow/bin/pip install tensorflow-cpu==2.15.1 transformers==4.38.2 'numpy<2' safetensors
    .venv-tensorflow/bin/python tests/golden/record_tensorflow.py

The weights are those of tests/data/checkpoints/three-labels, bit for bit but in float32.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from pathlib import Path

from transformers import TFBertForSequenceClassification

DATA = Path(__file__).parent.parent / "data"
FORMATS = DATA / "formats"


def main() -> None:
    """Write three-labels.h5 and three-labels-saved-model.zip."""
    model = TFBertForSequenceClassification.from_pretrained(DATA / "checkpoints" / "three-labels")
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder, saved_model=True)
        shutil.copyfile(Path(folder) / "tf_model.h5", FORMATS / "three-labels.h5")
        saved = Path(folder) / "saved_model" / "1"
        # The graph is large and says everything many times: the tests unzip it.
        with zipfile.ZipFile(
            FORMATS / "three-labels-saved-model.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9
        ) as archive:
            for name in (
                "saved_model.pb",
                "variables/variables.index",
                "variables/variables.data-00000-of-00001",
            ):
                archive.write(saved / name, name)


if __name__ == "__main__":
    main()
