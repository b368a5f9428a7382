"""Record zero-shot answers of Transformers and rankings of sentence-transformers; see record.py for the rest.

    .venv-golden/bin/pip install sentence-transformers==6.2.0
    .venv-golden/bin/python tests/golden/record_pairs.py

The tiny checkpoints of the other scripts are asked: `three-labels` and `cased` under the label names of
models of natural language inference, one of them with entailment first, and `bert-regression`, which has one
logit. Their weights are random, so the answers make no sense; they are the libraries' figures all the same.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from record import HERE, TINY, sample_lines
from sentence_transformers import CrossEncoder
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

if TYPE_CHECKING:
    from pathlib import Path

# Name of the model for the tests -> checkpoint and the labels that it is asked under.
NLI_MODELS: dict[str, tuple[Path, tuple[str, ...]]] = {
    "nli": (TINY / "three-labels", ("CONTRADICTION", "NEUTRAL", "ENTAILMENT")),
    "nli-binary": (TINY / "cased", ("entailment", "not_entailment")),
}
RERANKER = HERE.parent / "data" / "architectures" / "bert-regression"
CANDIDATES = ["a comedy", "war", "sport and games", "the best film of the year"]
QUERY = "which film is a comedy"


def requests() -> list[dict[str, Any]]:
    """What each model of inference is asked."""
    reviews = sample_lines()
    texts = [reviews[0], " ", reviews[5], "Ça m'a plu ! 映画", " ".join(reviews[:8])]
    options: list[dict[str, Any]] = [
        {"candidate_labels": CANDIDATES},
        {"candidate_labels": CANDIDATES, "multi_label": True},
        {"candidate_labels": CANDIDATES[:1]},
        {"candidate_labels": CANDIDATES[::-1], "hypothesis_template": "{} is what it is about."},
    ]
    return [{"text": text, "options": chosen} for chosen in options for text in texts]


def zero_shot(folder: Path, labels: tuple[str, ...]) -> list[dict[str, Any]]:
    """The pipeline's answers."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype="float32").eval()
    model.config.id2label = dict(enumerate(labels))
    model.config.label2id = {label: index for index, label in enumerate(labels)}
    classify = pipeline(
        "zero-shot-classification", model=model, tokenizer=AutoTokenizer.from_pretrained(folder)
    )
    answers = []
    for request in requests():
        answer = classify(request["text"], **request["options"])
        answers.append({**request, "labels": answer["labels"], "scores": answer["scores"]})
    return answers


def rerank() -> dict[str, Any]:
    """The ranking of a CrossEncoder."""
    reviews = sample_lines()
    documents = [*reviews[:7], "", " ".join(reviews[:8]), "映画 😀"]
    model = CrossEncoder(str(RERANKER), device="cpu")
    ranking = model.rank(QUERY, documents)
    found = [{"index": int(one["corpus_id"]), "score": float(one["score"])} for one in ranking]
    return {"query": QUERY, "documents": documents, "ranking": found}


def main() -> None:
    """Record everything."""
    document = {
        "models": {name: list(labels) for name, (_, labels) in NLI_MODELS.items()},
        "zero_shot": {name: zero_shot(*model) for name, model in NLI_MODELS.items()},
        "rerank": rerank(),
    }
    (HERE.parent / "data" / "pairs.json").write_text(
        json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
