"""From checkpoint to answers in one go: what `bertriton demo` shows.

In: the model and the reviews of the package `bertriton_imdb`. Out: a terminal's worth of answers.
"""
