"""A text as the tokens that a model reads, each with the characters that it stands for.

Knows nothing about networks.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from charlm.errors import OptionError, TextError
from charlm.tokenizers import EOS, UNK, Ids, Tokenizer


@dataclass(frozen=True)
class Passage:
    """<EOS>, the first token, …: event t predicts ids[t + 1] from what stands before it.

    pieces[t] are the characters of the token ids[t + 1]; a byte that is not yet a character has
    none. A per-line model's end of a line is <EOS>, and its piece a newline. What the model reads
    as <UNK> stands here as `text` has it where tokens are characters.

    characters: of the text that was given, with the ends of lines that are predicted, as `evaluate`
    counts them. `text` has others where words lose their spacing, or are <UNK>.
    """

    ids: Ids
    pieces: Sequence[str]
    per_line: bool
    characters: int

    @classmethod
    def of(cls, tokenizer: Tokenizer, text: str, per_line: bool) -> "Passage":
        """Reads a text as one sequence or, per line, every line that is not empty as one.

        Raises TextError for an empty text, and for one that leaves nothing to predict.
        """
        parts = [line for line in text.split("\n") if line] if per_line else [text]
        if not "".join(parts):
            raise TextError("the text is empty: there is nothing to look at")
        ids, pieces = [np.array([EOS])], list[str]()
        for part in parts:
            tokens = tokenizer.encode(part)
            ids += [tokens, np.full(int(per_line), EOS)]
            pieces += pieces_of(tokenizer, tokens, part)
            pieces += ["\n"] * per_line
        if not pieces:
            raise TextError("the text is white space, no token to this model; give it words")
        characters = sum(len(part) + per_line for part in parts)
        return cls(np.concatenate(ids).astype(np.intp), pieces, per_line, characters)

    def __len__(self) -> int:
        return len(self.pieces)

    @property
    def text(self) -> str:
        """All the pieces."""
        return "".join(self.pieces)

    @property
    def unseen(self) -> int:
        """How many of its tokens are <UNK>."""
        return int((self.ids == UNK).sum())

    def offsets(self) -> npt.NDArray[np.int64]:
        """Where in `text` each piece begins, and the text's length last."""
        lengths = np.fromiter(map(len, self.pieces), np.int64, len(self.pieces))
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])

    def token_at(self, position: int) -> int:
        """The token that holds a character of `text`; OptionError if there is no such one."""
        offsets = self.offsets()
        if not 0 <= position < offsets[-1]:
            raise OptionError(
                f"--position {position}: the text has characters 0 to {offsets[-1] - 1:,}"
            )
        return int(np.searchsorted(offsets, position, side="right")) - 1

    def lines(self) -> Iterator[tuple[int, int]]:
        """Where the tokens of each line begin and end, its newline among them."""
        ends = [t + 1 for t, piece in enumerate(self.pieces) if piece.endswith("\n")]
        bounds = dict.fromkeys([0, *ends, len(self.pieces)])
        return itertools.pairwise(bounds)


def pieces_of(tokenizer: Tokenizer, tokens: Ids, text: str) -> Iterator[str]:
    """The characters of each of a text's tokens; a byte that is not yet one has none."""
    if len(tokens) == len(text) and tokenizer.kind == "characters":
        yield from text
        return
    decoder = tokenizer.decoder()
    pieces = [decoder.feed(token) for token in tokens.tolist()]
    if pieces:
        pieces[-1] += decoder.finish()
    yield from pieces
