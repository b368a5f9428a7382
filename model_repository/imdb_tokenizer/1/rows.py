"""Rows of the network's input from token ids: special tokens, truncation, and windows of long texts.

Copied into the repository beside the tokenizer model, which imports it.
"""

from typing import Any, NamedTuple

from tokenizers import Tokenizer

TRUNCATIONS = ["head", "tail", "head_tail", "error", "windows"]
AGGREGATION_TO_POSITION = {"mean": -2, "max": -3}  # what begins a further window of a row


class Options(NamedTuple):
    """The parameters of a request."""

    max_length: int  # tokens scored at once, special ones included
    truncation: str = "head"  # what is kept of a text over the limit, one of TRUNCATIONS
    stride: int = 0  # tokens that a window shares with the one before
    aggregation: str = "mean"  # of the scores of windows


class Frame:
    """The special tokens around one text, or around and between two."""

    def __init__(self, tokenizer: Tokenizer, texts: int, max_request_tokens: int) -> None:
        self.max_request_tokens = max_request_tokens
        encoding = tokenizer.encode("a", "b" if texts > 1 else None)
        self.types = [0] * texts
        self.runs: list[Any] = [([], []) for _ in range(texts + 1)]  # (ids, types) before and after each text
        seen = 0
        for token, kind, text in zip(encoding.ids, encoding.type_ids, encoding.sequence_ids, strict=True):
            if text is None:
                self.runs[seen][0].append(token)
                self.runs[seen][1].append(kind)
            else:
                seen, self.types[text] = text + 1, kind
        self.size = sum(len(ids) for ids, _ in self.runs)

    def around(self, texts: list[list[int]], options: Options, rows: int) -> tuple[Any, ...]:
        """One row of the network's input, cut to its length or into windows of it."""
        count = sum(map(len, texts)) + self.size
        if options.truncation == "error" and count > options.max_length:
            raise ValueError(f"text: a row has {count} tokens, at most {options.max_length} are read")
        if not count:
            raise ValueError("text: a row has no token, and this model's tokenizer adds none of its own")
        windows, is_truncated = self.cut(texts, options, rows)
        ids, types, positions = list[int](), list[int](), list[int]()
        for window in windows:
            start = len(ids)
            for text, kind, run in zip(([], *window), (0, *self.types), self.runs, strict=True):
                ids += text + run[0]
                types += [kind] * len(text) + run[1]
            positions += [start and AGGREGATION_TO_POSITION[options.aggregation], *range(1, len(ids) - start)]
        return ids, types, positions, count, is_truncated, len(windows)

    def cut(self, texts: list[list[int]], options: Options, rows: int) -> tuple[list[Any], bool]:
        """The parts of a text or pair in each window, and whether anything is lost."""
        sizes = longest_first([len(text) for text in texts], options.max_length - self.size)
        lost = [len(text) > size for text, size in zip(texts, sizes, strict=True)]
        heads = [{"tail": 0, "head_tail": size - size // 2}.get(options.truncation, size) for size in sizes]
        cuts = zip(texts, sizes, heads, strict=True)
        parts = [[text[:head] + text[len(text) - size + head :]] for text, size, head in cuts]
        if options.truncation == "windows" and any(lost):
            longer = int(len(texts[-1]) > len(texts[0]))
            text, size, lost[longer] = texts[longer], sizes[longer], False
            stride = min(options.stride, size - 1)
            starts = range(0, len(text) - stride, size - stride)
            limit = self.max_request_tokens
            if len(starts) * options.max_length * rows > limit:
                raise ValueError(f"text: {len(starts)} windows a row are over {limit} tokens a request")
            parts[longer] = [text[start : start + size] for start in starts]
        return [[part[index % len(part)] for part in parts] for index in range(max(map(len, parts)))], any(
            lost
        )


def longest_first(lengths: list[int], budget: int) -> list[int]:
    """Lengths that fit the budget together, cut from the longer text first, as Hugging Face does."""
    if sum(lengths) <= budget:
        return lengths
    shorter = min(*lengths, budget // 2) if len(lengths) > 1 else 0
    kept = [shorter, budget - shorter][-len(lengths) :]
    return kept if lengths[0] <= lengths[-1] else kept[::-1]
