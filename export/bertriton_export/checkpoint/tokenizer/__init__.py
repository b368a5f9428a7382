"""The tokenizer of a Hugging Face checkpoint, read whole or refused.

In: a folder, and every file of it that can change an id. Out: a `tokenizers.Tokenizer` with the ids of
Transformers, and what else the files say of texts: token types, the longest one, and where it is cut. Or,
where it is asked for, one with the ids of Spark NLP.
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
from bertriton_export.checkpoint.tokenizer.sparknlp import SPARKNLP_FAMILIES, with_tokenization

__all__ = [
    "FOLLOWED",
    "MODEL_TYPE_TO_CLASS",
    "REFUSED_TOKENIZERS",
    "SPARKNLP_FAMILIES",
    "TOKENIZERS",
    "TOKENIZER_FILES",
    "Sources",
    "TokenizerClass",
    "TokenizerReader",
    "with_tokenization",
    "wordpiece_tokenizer",
]
