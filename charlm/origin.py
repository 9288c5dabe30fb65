"""The corpus that a model came from: found by its name, known by its digest.

A checkpoint keeps its corpus's name, sizes and digest, not its text. Knows files and checkpoints;
knows nothing about what is done with the text.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from charlm.checkpoint import Checkpoint
from charlm.corpus import build_corpus, lines_of, tokenize
from charlm.errors import CharlmError
from charlm.text import Text, open_text

LARGEST = 20_000_000  # characters of a corpus that is looked for; a larger one is to be named


@dataclass(frozen=True)
class Origin:
    """A text, and whether it is the one that the model was trained on (and validated on)."""

    text: Text
    same: bool
    validated: bool  # on its end or, per line, on every tenth line; else on another text or nothing

    @property
    def what(self) -> str:
        """The text in words."""
        if self.same:
            return f"{self.text.name}, the corpus it was trained on"
        return f"{self.text.name}, which is not the text that it was trained on"


def origin_of(path: str | os.PathLike[str], checkpoint: Checkpoint, encoding: str) -> Origin:
    """The corpus in this file; raises TextError if it cannot be read."""
    return origin_in(open_text([path], encoding), checkpoint)


def origin_in(text: Text, checkpoint: Checkpoint) -> Origin:
    """Whether this text is the corpus."""
    known, per_line = checkpoint.corpus, checkpoint.model.per_line
    digest, held = known.digest, known.valid_characters
    trained = [tokenize(text.to_read(per_line), checkpoint.tokenizer, per_line).checksum]
    if held < text.characters:
        corpus = build_corpus(
            text,
            tokenizer=checkpoint.tokenizer,
            valid_fraction=(held - 0.5) / text.characters,  # so that rounding leaves just as many
            per_line=per_line,
        )
        if corpus.digest == digest:
            return Origin(text, same=True, validated=held > 0)
        trained.append(corpus.train.checksum)
    return Origin(text, same=digest[:8] in trained, validated=False)


def find_origin(
    checkpoint_path: str | os.PathLike[str], checkpoint: Checkpoint, encoding: str
) -> Origin | None:
    """A file of the recorded name with the recorded digest, in the usual places.

    That is the present folder, `corpora` in it, and the checkpoint's folder and the one above.
    """
    known = checkpoint.corpus
    if known.characters > LARGEST:
        return None
    for path in _places(Path(checkpoint_path), known.name):
        try:
            origin = origin_of(path, checkpoint, encoding)
        except (CharlmError, OSError):
            continue
        if origin.same:
            return origin
    return None


def _places(checkpoint_path: Path, name: str) -> Iterator[Path]:
    if not name or name != os.path.basename(name):
        return
    here, there = Path(), checkpoint_path.resolve().parent
    stem = os.path.splitext(name)[0]
    for folder in (here, here / "corpora", here / "corpora" / stem, there, there.parent):
        if (folder / name).is_file():
            yield folder / name


def valid_text(origin: Origin, checkpoint: Checkpoint, characters: int) -> list[str]:
    """The beginning of the part that a training holds back, of several files one text for each.

    Of so many characters at most, as `first_of` cuts it; per line one text. Empty where nothing is
    held back or, per line, where its first line is longer.
    """
    if origin.same and not origin.validated:
        return []
    if checkpoint.model.per_line:
        text = first_of(lines_of(origin.text, held=True), characters, per_line=True)
        return [text] if text else []
    share = checkpoint.corpus.valid_characters / max(1, checkpoint.corpus.characters)
    begin = origin.text.characters - round(share * origin.text.characters)
    texts, at = list[str](), 0
    for document in origin.text.documents:
        start = max(0, begin - at)
        if start < document.characters and characters:
            texts.append(first_of(document.chunks(start), characters))
            characters -= len(texts[-1])
        at += document.characters
    return texts


def first_of(pieces: Iterable[str], characters: int, per_line: bool = False) -> str:
    """The first characters of a text in pieces; per line as many whole lines as they hold.

    A line cut in the middle would have an end, which is predicted, where the text has none.
    """
    found, length = [], 0
    for piece in pieces:
        found.append(piece)
        length += len(piece)
        if length > characters:
            break
    text = "".join(found)
    if per_line and length > characters:
        return text[: text.rfind("\n", 0, characters) + 1]
    return text[:characters]
