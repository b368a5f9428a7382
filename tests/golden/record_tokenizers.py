"""Record what Transformers 4.57 makes of tokenizers as people have them, from the files that they have.

Run by hand, in an environment of its own, from the project's folder:

    python3 -m venv .venv-tokenizers
    .venv-tokenizers/bin/pip install transformers==4.57.6 sentencepiece==0.2.3 protobuf sacremoses
    .venv-tokenizers/bin/python tests/golden/record_tokenizers.py

It makes tests/data/tokenizers/: vocabularies learned from the sample reviews, which stay as they are once
they are there; configurations.json, which says how they become the files of a checkpoint; and answers.json,
the ids of a few texts and digests of those of random ones. It writes random-texts.json of all checkpoints.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import sentencepiece
from random_texts import digests, random_texts
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
DATA = HERE.parent / "data"
FOLDER = DATA / "tokenizers"
SAMPLE = ROOT / "export" / "bertriton_export" / "verification" / "sample_reviews.txt"
SAMPLE_LINES = 60
PIECES = 300
RANDOM_TEXTS = 2_000
MAX_LENGTH = 64
PAIR = ("a film", "an <mask> [MASK] hour")

TEXTS = (
    "",
    "   \t\n ",
    "Two  spaces, a\ttab\nand a line.  ",
    "  Ça m'a plu ! ÅÄÖ ﬁlm ① Ｆｕｌｌ　ｗｉｄｔｈ é e\u0301 İstanbul ẞ",  # noqa: RUF001
    "素晴らしい映画でした 很好看 ｶﾞｷﾞ",
    "``quoted'' 1,000 and 10, or 5,",
    "a <pad> film [PAD] with <mask> and [MASK] or </s> [SEP] <s> [CLS] <unk> [UNK] \u2581 x",
    "a<mask>b [MASK]c <film> , two  <film>  <FILM> filmed unfilmed <|endoftext|> <s>NOTUSED <special0>",
    "the\u200bzero\u00adwidth\u00a0space\u3000x \ufeff\u0000end \ud7ff\U0001f600",
    "x" * 150 + " isn't it? 8/10",
)
# A small part of NFKC, which would be of 240 KB: what is replaced, and by what.
NORMALISATION = {
    "\u00a0": " ",
    "\t": " ",
    "\n": " ",
    "\u3000": " ",
    "\ufb01": "fi",
    "\u2460": "1",
    "\uff26": "F",
    "e\u0301": "\u00e9",
    "\u2026": "...",
    "\u200b": " ",
    "\u00ad": "",
}


def sample_lines() -> list[str]:
    return SAMPLE.read_text(encoding="utf-8").splitlines()[:SAMPLE_LINES]


def training_lines() -> list[str]:
    lines = sample_lines()
    return [*lines, *(line.title() for line in lines), "Ça naïve ÅÄÖ 映画 很"]


def train_sentencepiece(name: str, kind: str, *, normalised: bool, **settings: Any) -> None:
    """A SentencePiece model; `settings` are those of its trainer."""
    target = FOLDER / f"{name}.model"
    if target.exists():
        return
    with tempfile.TemporaryDirectory() as workspace:
        rules = Path(workspace) / "rules.tsv"
        rules.write_text(
            "".join(
                f"{' '.join(f'{ord(character):X}' for character in found)}\t"
                f"{' '.join(f'{ord(character):X}' for character in instead)}\n"
                for found, instead in NORMALISATION.items()
            ),
            encoding="utf-8",
        )
        normalisation: dict[str, Any] = {"normalization_rule_name": "identity"}
        if normalised:
            normalisation = {"normalization_rule_tsv": str(rules)}
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(training_lines()),
            model_prefix=str(Path(workspace) / "made"),
            model_type=kind,
            vocab_size=PIECES,
            hard_vocab_limit=False,
            minloglevel=2,
            **normalisation,
            **settings,
        )
        shutil.copyfile(Path(workspace) / "made.model", target)


def save_model(name: str, tokenizer: Tokenizer, trainer: Any) -> None:
    """A vocabulary, and merges where there are some, under names of their own."""
    if not list(FOLDER.glob(f"{name}-*")):
        tokenizer.train_from_iterator(training_lines(), trainer)
        tokenizer.model.save(str(FOLDER), name)


def train_all() -> None:
    FOLDER.mkdir(exist_ok=True)
    fairseq = {"control_symbols": [], "user_defined_symbols": ["<film>"]}
    train_sentencepiece("fairseq", "unigram", normalised=True, **fairseq)
    train_sentencepiece("fairseq-bpe", "bpe", normalised=False)
    google: dict[str, Any] = {
        "pad_id": 0,
        "unk_id": 1,
        "bos_id": -1,
        "eos_id": -1,
        "control_symbols": ["[CLS]", "[SEP]", "[MASK]"],
    }
    train_sentencepiece("google", "unigram", normalised=True, **google)
    deberta: dict[str, Any] = {
        "pad_id": 0,
        "bos_id": 1,
        "eos_id": 2,
        "unk_id": 3,
        "pad_piece": "[PAD]",
        "bos_piece": "[CLS]",
        "eos_piece": "[SEP]",
        "unk_piece": "[UNK]",
    }
    train_sentencepiece("deberta", "unigram", normalised=True, **deberta)
    words = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106 (a token of text)
    words.normalizer = normalizers.BertNormalizer(lowercase=True)
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    bert = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    options: dict[str, Any] = {"vocab_size": PIECES, "show_progress": False}
    save_model("bert", words, trainers.WordPieceTrainer(special_tokens=bert, **options))
    mpnet = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]
    save_model("mpnet", words, trainers.WordPieceTrainer(special_tokens=mpnet, **options))
    roberta = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    herbert = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))  # noqa: S106
    herbert.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    herbert.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.BpeTrainer(special_tokens=roberta, end_of_word_suffix="</w>", **options)
    save_model("herbert", herbert, trainer)
    bytes_ = Tokenizer(models.BPE())
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(special_tokens=roberta, initial_alphabet=alphabet, **options)
    save_model("roberta", bytes_, trainer)
    characters = sorted(set("".join(training_lines())) - set(" \n"))
    if not (FOLDER / "characters-vocab.txt").exists():
        lines = "".join(f"{token}\n" for token in [*bert, *characters])
        (FOLDER / "characters-vocab.txt").write_text(lines, encoding="utf-8")
    save_json("bert", words, processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2)))
    save_json("roberta", bytes_, processors.RobertaProcessing(("</s>", 2), ("<s>", 0)))


def save_json(name: str, tokenizer: Tokenizer, frame: Any) -> None:
    """A tokenizer.json of a vocabulary, cased and with spaces in front, which some classes overrule."""
    target = FOLDER / f"{name}-tokenizer.json"
    if target.exists():
        return
    parts = [str(FOLDER / f"{name}-vocab{ending}") for ending in (".json", ".txt")]
    if name == "roberta":
        tokenizer.model = models.BPE.from_file(parts[0], str(FOLDER / "roberta-merges.txt"))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    else:
        tokenizer.model = models.WordPiece.from_file(parts[1], unk_token="[UNK]")  # noqa: S106
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
        tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.post_processor = frame
    tokenizer.enable_truncation(32, direction="left")
    document = json.loads(tokenizer.to_str())
    target.write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def configuration(
    model_type: str, files: dict[str, str], settings: dict[str, Any] | None = None, **others: Any
) -> dict[str, Any]:
    """One folder of a checkpoint; `others` are JSON files beside, by their names without `.json`."""
    documents = {"config": {"model_type": model_type}, **others}
    if settings is not None:
        documents["tokenizer_config"] = {"model_max_length": MAX_LENGTH} | settings
    return {"model_type": model_type, "files": files, "documents": documents}


BERT = {"vocab.txt": "bert-vocab.txt"}
BERT_JSON = {"tokenizer.json": "bert-tokenizer.json"}
ROBERTA = {"vocab.json": "roberta-vocab.json", "merges.txt": "roberta-merges.txt"}
ROBERTA_JSON = {"tokenizer.json": "roberta-tokenizer.json"}
HERBERT = {"vocab.json": "herbert-vocab.json", "merges.txt": "herbert-merges.txt"}
FAIRSEQ = {"sentencepiece.bpe.model": "fairseq.model"}
GOOGLE = {"spiece.model": "google.model"}
DEBERTA = {"spm.model": "deberta.model"}
FILM = {"content": "<film>", "lstrip": True, "rstrip": True, "single_word": False, "normalized": False}
WORD = {"content": "filmed", "lstrip": False, "rstrip": False, "single_word": True, "normalized": True}
CHARACTERS = {"do_word_tokenize": False, "subword_tokenizer_type": "character"}

CONFIGURATIONS = {
    # tokens that only one of the files knows
    "bert-added-tokens-file": configuration("bert", BERT, {}, added_tokens={"<film>": PIECES}),
    "bert-special-tokens-map": configuration(
        "bert",
        BERT,
        {"mask_token": "[MASK]"},
        special_tokens_map={
            "additional_special_tokens": ["<film>"],
            "mask_token": FILM | {"content": "[MASK]"},
        },
    ),
    "bert-added-tokens-decoder": configuration(
        "bert",
        BERT,
        {"added_tokens_decoder": {str(PIECES): FILM | {"special": True}, str(PIECES + 1): WORD}},
        special_tokens_map={"additional_special_tokens": ["not read"]},
    ),
    "bert-json-and-map": configuration(
        "bert", BERT_JSON, {}, special_tokens_map={"mask_token": FILM | {"content": "[MASK]"}}
    ),
    "bert-json-and-added": configuration("bert", BERT_JSON, {}, added_tokens={"<film>": PIECES}),
    "bert-json-and-additional": configuration(
        "bert", BERT_JSON, {"additional_special_tokens": ["<film>", {"__type": "AddedToken", **FILM}]}
    ),
    # the class, where it stands
    "bert-without-settings": configuration("bert", BERT),
    "bert-class-in-config": configuration(
        "bert", HERBERT, config={"model_type": "bert", "tokenizer_class": "HerbertTokenizerFast"}
    ),
    "bert-of-xlm-roberta": configuration("bert", FAIRSEQ, {"tokenizer_class": "XLMRobertaTokenizer"}),
    "bert-json-as-it-is": configuration("bert", BERT_JSON, {"tokenizer_class": "PreTrainedTokenizerFast"}),
    "roberta-json-as-it-is": configuration(
        "roberta", ROBERTA_JSON, {"tokenizer_class": "PreTrainedTokenizerFast"}
    ),
    "roberta-json-of-gpt2": configuration("roberta", ROBERTA_JSON, {"tokenizer_class": "GPT2Tokenizer"}),
    "roberta-of-gpt2": configuration(
        "roberta", ROBERTA, {"tokenizer_class": "GPT2Tokenizer", "unk_token": "<unk>", "bos_token": "<s>"}
    ),
    # every class without a tokenizer.json
    "roberta": configuration("roberta", ROBERTA, {}),
    "roberta-json": configuration("roberta", ROBERTA_JSON, {"add_prefix_space": True}),
    "roberta-json-and-mask": configuration("roberta", ROBERTA_JSON, {"mask_token": "<mask>"}),
    "herbert": configuration("bert", HERBERT, {"tokenizer_class": "HerbertTokenizer"}),
    "mpnet": configuration("mpnet", {"vocab.txt": "mpnet-vocab.txt"}, {}),
    "mpnet-cased": configuration("mpnet", {"vocab.txt": "mpnet-vocab.txt"}, {"do_lower_case": False}),
    "electra": configuration("electra", BERT, {"strip_accents": False}),
    "japanese-characters": configuration(
        "bert",
        {"vocab.txt": "characters-vocab.txt"},
        {"tokenizer_class": "BertJapaneseTokenizer", **CHARACTERS},
    ),
    "japanese-lowercased": configuration(
        "bert",
        {"vocab.txt": "characters-vocab.txt"},
        {"tokenizer_class": "BertJapaneseTokenizer", "do_lower_case": True, **CHARACTERS},
    ),
    "xlm-roberta": configuration("xlm-roberta", FAIRSEQ, {}),
    "xlm-roberta-bpe": configuration("xlm-roberta", {"sentencepiece.bpe.model": "fairseq-bpe.model"}, {}),
    "camembert": configuration("camembert", FAIRSEQ, {}),
    "camembert-bpe": configuration("camembert", {"sentencepiece.bpe.model": "fairseq-bpe.model"}),
    "albert": configuration("albert", GOOGLE, {}),
    "albert-cased": configuration("albert", GOOGLE, {"do_lower_case": False, "keep_accents": True}),
    "big-bird": configuration("big_bird", GOOGLE, {}),
    "deberta-v2": configuration(
        "deberta-v2",
        DEBERTA,
        {"do_lower_case": False, "vocab_type": "spm"},
        added_tokens={"[MASK]": PIECES},
    ),
    "deberta-v2-lowercased": configuration(
        "deberta-v2", DEBERTA, {"do_lower_case": True, "split_by_punct": True}
    ),
}


def make(name: str, folder: Path) -> Path:
    """The folder of a configuration."""
    folder.mkdir()
    for target, source in CONFIGURATIONS[name]["files"].items():
        shutil.copyfile(FOLDER / source, folder / target)
    for target, document in CONFIGURATIONS[name]["documents"].items():
        (folder / f"{target}.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


def answers(folder: Path, strings: list[str]) -> dict[str, Any]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pair = tokenizer(*PAIR)
    limit = min(tokenizer.model_max_length, MAX_LENGTH)
    encoded = tokenizer(strings, truncation=True, max_length=limit)["input_ids"]
    return {
        "class": type(tokenizer).__name__,
        "largest_id": max(tokenizer.get_vocab().values()),
        "truncation_side": tokenizer.truncation_side,
        "ids": [tokenizer(text)["input_ids"] for text in TEXTS],
        "pair": [pair["input_ids"], pair.get("token_type_ids")],
        "random": digests(encoded),
    }


def random_digests() -> None:
    """Digests of the ids of all checkpoints of the tests."""
    strings = random_texts()
    folders = [ROOT / "checkpoints" / "imdb-minilm"]
    folders += [*sorted((DATA / "checkpoints").iterdir()), *sorted((DATA / "architectures").iterdir())]
    name_to_digests = {}
    for folder in folders:
        encoded = AutoTokenizer.from_pretrained(folder)(strings, truncation=True)
        name_to_digests[folder.name] = digests(encoded["input_ids"])
    text = json.dumps(name_to_digests, indent=1) + "\n"
    (DATA / "random-texts.json").write_text(text, encoding="utf-8")


def main() -> None:
    """Make what is missing and record everything."""
    train_all()
    strings = random_texts(RANDOM_TEXTS)
    recorded = {}
    with tempfile.TemporaryDirectory() as workspace:
        for name in sys.argv[1:] or CONFIGURATIONS:
            recorded[name] = answers(make(name, Path(workspace) / name), strings)
    lines = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(one, ensure_ascii=False, separators=(',', ':'))}"
        for name, one in recorded.items()
    )
    (FOLDER / "answers.json").write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    document = {"texts": TEXTS, "pair": PAIR, "configurations": CONFIGURATIONS}
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    (FOLDER / "configurations.json").write_text(text, encoding="utf-8")
    random_digests()


if __name__ == "__main__":
    main()
