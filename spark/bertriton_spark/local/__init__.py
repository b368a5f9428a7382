"""One server a host, user and model, shared by all Python workers that need it.

In: a model repository, or a checkpoint. Out: the address of a server. It runs in a process of its own, the
keeper, and ends a few seconds after the last process that leased it has ended, however that came.
"""

from bertriton_spark.local.lease import local_url

__all__ = ["local_url"]
