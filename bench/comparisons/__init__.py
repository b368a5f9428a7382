"""The project's own measurements against others: what `make bench` and `make bench-gpu` run.

Not part of the product, whose `bertriton bench` is `bertriton_bench` beside this folder.

In: classifiers (`checkpoints`), and what they are compared with (`contenders`). Out: figures and tables, a
module of `parts` each, which `run` measures in one go and `document` writes to docs/benchmarks.md. `gpu` is a
run of its own.
"""
