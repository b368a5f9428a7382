"""`pytorch_model.bin`, read without torch.

In: a file of `torch.save`. Out: its tensors by name.
"""

from bertriton_export.reading.pytorch.state_dict import torch_tensors

__all__ = ["torch_tensors"]
