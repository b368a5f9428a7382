"""The tokenizer of a Hugging Face checkpoint, read whole or refused.

In: a folder, and every file of it that can change an id. Out: a `tokenizers.Tokenizer` with the ids of
Transformers, and what else the files say of texts: token types, the longest one, and where it is cut.
"""

from bertriton_export.checkpoint.tokenizer.classes import (
    MODEL_TYPE_TO_CLASS,
    REFUSED_TOKENIZERS,
    TOKENIZERS,
    TokenizerClass,
)
from bertriton_export.checkpoint.tokenizer.reader import (
    FOLLOWED,
    TOKENIZER_FILES,
    TokenizerReader,
    wordpiece_tokenizer,
)
from bertriton_export.checkpoint.tokenizer.sources import Sources

__all__ = [
    "FOLLOWED",
    "MODEL_TYPE_TO_CLASS",
    "REFUSED_TOKENIZERS",
    "TOKENIZERS",
    "TOKENIZER_FILES",
    "Sources",
    "TokenizerClass",
    "TokenizerReader",
    "wordpiece_tokenizer",
]
