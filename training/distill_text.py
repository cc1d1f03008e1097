"""Distil the teacher into the small sentence tower that ships: `python distill_text.py --data DATA --work WORK --minutes 45`.

Needs texts.json and vectors.npy of prepare.py, and reads map.pt of train_image.py whenever there is one, so both can train side by side.
Writes to WORK: tokenizer.json, distill.json (the texts), texts-*.npy and more-*.npy (their teacher rows), student.pt (the running average that ships),
student.json (the held-out figures). The schedule follows the time spent; run again to resume.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import time
from pathlib import Path

import numpy as np
import torch
from teacher import embed
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from torch.nn import functional
from towers import SentenceTower
from train_image import TextMap

TOKENS, LENGTH, WIDTH, LAYERS, HEADS, HIDDEN, TEACHER = 16000, 48, 256, 3, 4, 768, 384
PAD, START = "<|pad|>", "<|start|>"
HELD = 2000  # captions, and as many synsets, kept apart
CHUNK = 20000  # texts whose teacher rows share a file
FRAMES = ("a photo of a {}", "a photo of {}", "a picture of a {}", "{} in a photo", "photos of {}", "the {}", "my {}", "some {}", "many {}")
LOOKS = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey", "golden", "silver", "dark",
    "bright", "colourful", "old", "new", "young", "big", "small", "tiny", "huge", "tall", "long", "round", "wooden", "metal", "glass",
    "plastic", "stone", "wet", "dry", "snowy", "foggy", "hazy", "misty", "rainy", "sunny", "cloudy", "stormy", "blurry", "sharp",
    "noisy", "beautiful", "ugly", "cute", "funny", "scary", "happy", "sad", "angry", "sleeping", "running", "sitting", "standing",
    "jumping", "flying", "swimming", "eating", "playing", "lonely", "crowded", "empty", "broken", "rusty", "shiny", "dirty", "clean",
    "modern", "ancient", "vintage", "striped", "spotted", "furry", "fluffy", "wild", "tropical", "winter", "summer", "autumn",
    "spring", "urban", "rural", "indoor", "outdoor", "aerial", "close-up", "fresh", "frozen", "hot", "cold", "tasty", "sliced",
    "cooked", "parked", "abandoned", "famous", "red-and-white", "black-and-white",
)  # fmt: skip
JOINS = (
    "{n} on a {m}", "{n} on the {m}", "{n} in the {m}", "{n} in a {m}", "{n} and {m}", "{n} with a {m}", "{n} near a {m}",
    "{n} under a {m}", "a {n} next to a {m}", "{n} behind {m}", "{a} {n}", "{a} {n}", "a {a} {n}", "{a} {n} and {b} {m}",
    "{a} {n} on a {m}", "{a} {n} in the {m}", "{n} at night", "{n} at sunset", "{n} in the fog", "{n} in the rain", "{n} in the snow",
    "people with {n}", "a man with a {n}", "a woman holding a {n}", "a child and a {n}", "two {n}s", "three {n}s", "a group of {n}s",
    "{n}s", "{n} without {m}", "{n}, {m}", "{n} {m}", "a {a} photo of a {n}", "a blurry photo of a {n} and a {m}",
    "a hazy picture of {n}", "close-up of a {n}", "a painting of a {n}", "a drawing of {a} {n}", "where is the {n}", "show me {n}",
    "view of {n} from above", "{n} seen through a window",
)  # fmt: skip
SMALL_WORDS = frozenset((
    "a", "an", "the", "is", "are", "was", "were", "of", "to", "and", "in", "on", "at", "with", "his", "her", "its", "their", "while",
    "that", "which", "as", "by", "it", "this",
))  # fmt: skip


def lines(path: Path) -> list[str]:
    """The lines of a file that hold something."""
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def compositions(names: list[str], rare: list[str], count: int, random: np.random.Generator) -> list[str]:
    """Made-up queries: three names in four are of things people photograph, the fourth is any noun."""

    def noun() -> str:
        source = names if random.random() < 0.75 else rare
        return source[random.integers(len(source))]

    def look() -> str:
        return LOOKS[random.integers(len(LOOKS))]

    return [JOINS[random.integers(len(JOINS))].format(n=noun(), m=noun(), a=look(), b=look()) for _ in range(count)]


def fragments(captions: list[str], count: int, random: np.random.Generator) -> list[str]:
    """Captions as somebody would type them: a run of words, or the words that matter."""
    out = []
    for _ in range(count):
        words = re.findall(r"[\w'-]+", captions[random.integers(len(captions))].lower())
        if random.random() < 0.5:
            words = [w for w in words if w not in SMALL_WORDS]
        length = int(random.integers(2, 7))
        begin = int(random.integers(max(1, len(words) - length + 1)))
        out.append(" ".join(words[begin : begin + length]))
    return out


def swapped(sentences: list[str], common: list[str], rare: list[str], count: int, random: np.random.Generator) -> list[str]:
    """Sentences about other things: some of their nouns become others, so that words are learned apart from their usual company."""
    swappable, out = set(common), []
    while len(out) < count:
        words = sentences[random.integers(len(sentences))].split()
        for place in [i for i, w in enumerate(words) if w.lower() in swappable]:
            if random.random() < 0.4:
                source = common if random.random() < 0.7 else rare
                words[place] = source[random.integers(len(source))]
        out.append(" ".join(words))
    return out


def corpus(data: Path, words: list[str], plain: list[str], vocabulary: list[str]) -> dict[str, list[str]]:
    """The texts to distil on, and the captions and synsets held out of them.

    `words` already have teacher rows, and `plain` are those among them that are a photo's own. The tokenizer is trained without "more".
    """
    random = np.random.default_rng(1)
    known = {w.lower() for w in words}
    captions = [c for c in dict.fromkeys(lines(data / "text" / "flickr-captions.txt")) if c.lower() not in known]
    synsets = list(dict.fromkeys(lines(data / "text" / "wordnet-nouns.txt")))
    random.shuffle(captions)
    random.shuffle(synsets)
    common = {w.lower() for w in vocabulary} | known
    held = {"captions": captions[:HELD], "synsets": synsets[:HELD]}
    apart = {s.strip().lower() for line in held["synsets"] for s in line.split(",")} - common
    nouns = [s for s in dict.fromkeys(s.strip() for line in synsets for s in line.split(",")) if s.lower() not in apart]
    captions, synsets = captions[HELD:], synsets[HELD:]
    heard = {w for c in captions + words for w in re.findall(r"[\w'-]+", c.lower())}
    seen = [n for n in nouns if n.islower() and " " not in n and n in heard] + [w for w in words if len(w.split()) <= 3]
    texts = [
        *nouns, *captions, *(line for line in synsets if "," in line), *vocabulary, *LOOKS,
        *(FRAMES[random.integers(len(FRAMES))].format(n) for n in random.permutation(nouns)[:30000].tolist()),
        *compositions(seen, nouns, 80000, random), *fragments(captions, 35000, random),
    ]  # fmt: skip
    texts = [t for t in dict.fromkeys(texts) if t and t not in held["captions"]]
    random.shuffle(texts)
    ordinary = [n for n in nouns if n.islower() and n.isalpha() and n in heard and n not in SMALL_WORDS]
    told = [t for t in plain if len(t.split()) > 5]
    more = swapped(told, ordinary, seen + nouns, 45000, random) + swapped(captions, ordinary, seen + nouns, 45000, random)
    more += compositions(seen, ordinary, 50000, random)
    return {"texts": texts, "more": sorted(set(more) - set(texts)), **held}


def train_tokenizer(texts: list[str]) -> Tokenizer:
    """Byte-level BPE over lower-cased words without accents: every string has an encoding, and 0 is only ever padding."""
    tokenizer = Tokenizer(models.BPE())
    normal = [normalizers.NFKC(), normalizers.Lowercase(), normalizers.NFD(), normalizers.StripAccents(), normalizers.NFC()]
    tokenizer.normalizer = normalizers.Sequence(normal)
    split = [
        pre_tokenizers.WhitespaceSplit(),
        pre_tokenizers.Punctuation(),
        pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False),
    ]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(split)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=TOKENS, special_tokens=[PAD, START], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A", special_tokens=[(START, 1)])
    tokenizer.enable_truncation(LENGTH)
    tokenizer.enable_padding(pad_id=0, pad_token=PAD)
    plain = json.loads(tokenizer.to_str())
    plain["added_tokens"] = []  # so that "<|pad|>" in somebody's query is only text
    return Tokenizer.from_str(json.dumps(plain))


def teach(name: str, texts: list[str], work: Path) -> np.ndarray:
    """Teacher rows of every text, Float16["text 384"]; a chunk that is on disk is not computed again."""
    rows = []
    for number, start in enumerate(range(0, len(texts), CHUNK)):
        file = work / f"{name}-{number:02d}.npy"
        if not file.exists():
            begun = time.monotonic()
            np.save(work / "chunk.tmp.npy", embed(texts[start : start + CHUNK]))
            (work / "chunk.tmp.npy").replace(file)
            print(f"{file.name}: {CHUNK / (time.monotonic() - begun):.0f} texts/s", flush=True)
        rows.append(np.load(file))
    return np.concatenate(rows)


def new_student(tokenizer: Tokenizer) -> SentenceTower:
    """A student that starts as the mean of its tokens' teacher vectors, in their 255 widest directions.

    The 255 directions are turned to lie across the all-ones vector, so that the layer norms only rescale them; what every layer adds starts at 0.
    """
    tower = SentenceTower(tokenizer.get_vocab_size(), WIDTH, LAYERS, HEADS, HIDDEN, LENGTH, TEACHER)
    strings = [tokenizer.decode([i], skip_special_tokens=False).strip() for i in range(tokenizer.get_vocab_size())]
    rows = torch.from_numpy(embed(["" if s in (PAD, START) else s for s in strings])).float()
    widest = torch.linalg.svd(rows, full_matrices=False)[2][: WIDTH - 1]
    across = torch.linalg.qr(torch.cat([torch.ones(WIDTH, 1), torch.randn(WIDTH, WIDTH - 1)], 1))[0][:, 1:]
    turn = across @ widest  # Float["256 384"]
    with torch.no_grad():
        tower.tokens.weight.copy_(rows @ turn.T)
        tower.tokens.weight.mul_(WIDTH**0.5 / tower.tokens.weight.norm(dim=1, keepdim=True).clamp(min=1e-6))
        tower.places.weight.normal_(0, 0.02)
        tower.project.weight.copy_(turn.T / WIDTH**0.5)
        for layer in tower.layers:
            for linear in (layer.out, layer.down):
                nn.init.zeros_(linear.weight)
                nn.init.zeros_(linear.bias)
    return tower


def pack(rows: list[list[int]]) -> Tensor:
    """Token ids padded with 0 to the longest: Int64["row length"]."""
    out = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
    for number, row in enumerate(rows):
        out[number, : len(row)] = torch.tensor(row)
    return out


def encode(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    """Token ids of every text, without padding."""
    tokenizer.no_padding()
    return [e.ids for e in tokenizer.encode_batch_fast(texts)]


@torch.no_grad()
def say(tower: SentenceTower, tokenizer: Tokenizer, texts: list[str], batch: int = 250) -> Tensor:
    """Student rows of texts, Float["text 384"]."""
    ids = encode(tokenizer, texts)
    return torch.cat([tower(pack(ids[i : i + batch])) for i in range(0, len(ids), batch)])


def overlap(student: Tensor, teacher: Tensor, count: int = 10) -> float:
    """How many of a text's nearest texts are the same for both, as a share."""
    lists = []
    for rows in (student, teacher):
        like = rows @ rows.T
        like.fill_diagonal_(-2)
        lists.append(torch.zeros_like(like).scatter_(1, like.topk(count).indices, 1.0))
    return (lists[0] * lists[1]).sum(1).mean().item() / count


def load_map(work: Path) -> TextMap | None:
    """The newest map from teacher space to the shared space, if any."""
    if not (work / "map.pt").exists():
        return None
    text_map = TextMap()
    text_map.load_state_dict(torch.load(work / "map.pt", weights_only=True))
    return text_map.requires_grad_(False)


@torch.no_grad()
def report(
    tower: SentenceTower, tokenizer: Tokenizer, work: Path, held: dict[str, Tensor], texts: dict[str, list[str]]
) -> dict[str, float]:
    """Mean cosine with the teacher on texts never distilled on, in teacher space and after the map, and neighbour overlap."""
    out, text_map = {}, load_map(work)
    for name, teacher in held.items():
        student = say(tower, tokenizer, texts[name])
        out[f"{name} cosine"] = (student * teacher).sum(1).mean().item()
        out[f"{name} overlap"] = overlap(student, teacher) if len(student) > 500 else 0.0
        if text_map:
            out[f"{name} mapped"] = (text_map(student) * text_map(teacher)).sum(1).mean().item()
    return {k: round(v, 4) for k, v in out.items()}


def loss_of(student: Tensor, teacher: Tensor, text_map: TextMap | None) -> Tensor:
    """One minus the cosine, the same after the map, and the squared error of the similarities within the batch."""
    loss = 1 - (student * teacher).sum(1).mean()
    for rows, wanted in ((student, teacher), *([(text_map(student), text_map(teacher))] if text_map else [])):
        loss = loss + 4 * functional.mse_loss(rows @ rows.T, wanted @ wanted.T)
        if rows is not student:
            loss = loss + 1 - (rows * wanted).sum(1).mean()
    return loss


def batches(lengths: np.ndarray, batch: int, random: np.random.Generator) -> list[np.ndarray]:
    """Numbers of texts for one pass, near-equal lengths together so that little is padded."""
    order = random.permutation(len(lengths))
    out = []
    for pool in np.array_split(order, max(1, len(order) // (batch * 32))):
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        out += [pool[i : i + batch] for i in range(0, len(pool) - batch + 1, batch)]
    return [out[i] for i in random.permutation(len(out))]


def distil(data: Path, work: Path, minutes: float, batch: int = 384) -> None:
    """Distil until the minutes are spent; computes what is missing on disk first."""
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    tables = json.loads((work / "texts.json").read_text())
    words = tables["words"]
    if not (work / "distill.json").exists():
        from teacher import load_teacher

        vocabulary = sorted(w for w in load_teacher()[1].get_vocab() if re.fullmatch("[a-z]{3,}", w))
        (work / "distill.json").write_text(json.dumps(corpus(data, words, tables["texts"], vocabulary)))
    texts = json.loads((work / "distill.json").read_text())
    if not (work / "tokenizer.json").exists():
        train_tokenizer(texts["texts"] + words).save(str(work / "tokenizer.json"))
    tokenizer = Tokenizer.from_file(str(work / "tokenizer.json"))
    if not (work / "student.pt").exists():
        torch.save(new_student(tokenizer).state_dict(), work / "student.pt")
    student = SentenceTower(tokenizer.get_vocab_size(), WIDTH, LAYERS, HEADS, HIDDEN, LENGTH, TEACHER)
    student.load_state_dict(torch.load(work / "student.pt", weights_only=True))
    # Held-out nouns that no training photo is called, and that were not distilled on either.
    names = " ".join(tables["texts"]).lower()
    distilled = {t.lower() for t in texts["texts"]}
    nouns = {s.strip() for line in texts["synsets"] for s in line.split(",")}
    texts["unseen"] = sorted(n for n in nouns if n.lower() not in distilled and n.lower() not in names)
    held = {n: functional.normalize(torch.from_numpy(embed(texts[n])).float(), dim=-1) for n in ("captions", "synsets", "unseen")}
    print("at the start", report(student, tokenizer, work, held, texts), flush=True)
    rows = torch.from_numpy(
        np.concatenate([teach("texts", texts["texts"], work), teach("more", texts["more"], work), np.load(work / "vectors.npy")])
    )
    ids = encode(tokenizer, texts["texts"] + texts["more"] + words)
    lengths = np.array([len(i) for i in ids])
    print(
        f"{len(ids)} texts, {lengths.mean():.1f} tokens each, {sum(p.numel() for p in student.parameters()) / 1e6:.2f} M parameters",
        flush=True,
    )

    average = torch.optim.swa_utils.AveragedModel(student, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998))
    tables = [student.tokens.weight, student.places.weight]
    shared = {id(p) for p in tables}
    matrices = [p for p in student.parameters() if p.ndim > 1 and id(p) not in shared]
    groups = [
        {"params": matrices, "weight_decay": 0.01},
        {"params": [*tables, *(p for p in student.parameters() if p.ndim == 1)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98), fused=True)
    spent, step, file = 0.0, 0, work / "distill.pt"
    if file.exists():
        saved = torch.load(file, weights_only=True)
        student.load_state_dict(saved["student"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        spent, step = saved["spent"], saved["step"]
    text_map, queue = load_map(work), []
    last = last_save = time.monotonic()
    while spent < minutes * 60:
        if not queue:
            queue = batches(lengths, batch, random)
        chosen = queue.pop()
        done = spent / (minutes * 60)
        for group in optimizer.param_groups:
            group["lr"] = 1.2e-3 * min(1.0, (step + 1) / 200) * max(0.01, 0.5 * (1 + math.cos(math.pi * done)))
        wanted = functional.normalize(rows[torch.from_numpy(chosen)].float(), dim=-1)
        with torch.autocast("cpu", torch.bfloat16):
            got = student(pack([ids[i] for i in chosen]))
        loss = loss_of(functional.normalize(got.float(), dim=-1), wanted, text_map)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(student)
        step += 1
        now = time.monotonic()
        spent, last = spent + min(now - last, 30.0), now  # a paused process does not spend its budget
        if step % 200 == 0:
            print(f"{spent / 60:6.1f} min  step {step}  pass {step * batch / len(ids):.2f}  loss {loss.item():.4f}", flush=True)
        if now - last_save > 240 or spent >= minutes * 60:
            state = {"student": student.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(state | {"spent": spent, "step": step}, work / "distill.tmp")
            (work / "distill.tmp").replace(file)
            torch.save(average.module.state_dict(), work / "student.tmp")
            (work / "student.tmp").replace(work / "student.pt")
            figures = report(average.module, tokenizer, work, held, texts) | {
                "minutes": round(spent / 60, 1),
                "passes": round(step * batch / len(ids), 2),
            }
            (work / "student.json").write_text(json.dumps(figures | {"texts": len(ids)}))
            print(figures, flush=True)
            text_map = load_map(work)
            last_save = last = time.monotonic()


def main() -> None:
    """Distil the text tower."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as there are")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    distil(options.data, options.work, options.minutes)


if __name__ == "__main__":
    main()
