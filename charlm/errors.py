"""Every error that charlm raises on purpose.

    CharlmError              exit code 1; its text is one line: what, where, what to do
    ├── OptionError          a value that cannot be used                (exit code 2)
    ├── TextError            a text that cannot be read or is not enough
    ├── VocabularyError      a text holds what the model never saw
    ├── CheckpointError      not a checkpoint, damaged, or of a newer version
    ├── TrainingError        training cannot go on (the loss is not finite, say)
    └── OverflowingError     a network whose numbers grow past what float32 holds

Knows nothing about how an error is shown: only `cli/` catches them, once.
"""

from collections.abc import Sequence


class CharlmError(Exception):
    """What happened, to which file or option, the value given, and what to do, in one line."""

    exit_code = 1


class OptionError(CharlmError):
    """An option or argument whose value cannot be used."""

    exit_code = 2


class TextError(CharlmError):
    """A text that cannot be read, decoded, or is too short for what was asked."""


class VocabularyError(CharlmError):
    """A text that holds characters or words outside the model's vocabulary."""

    @classmethod
    def of(cls, unseen: Sequence[tuple[int, str]]) -> "VocabularyError":
        """Names the first three of them, each given with its offset in characters.

        >>> print(VocabularyError.of([(4, "é")]))
        the model never saw 'é' (U+00E9) at character 4; --on-unknown unk reads it as <UNK>
        """
        shown = []
        for offset, piece in unseen[:3]:
            code = f" (U+{ord(piece):04X})" if len(piece) == 1 else ""
            shown.append(f"{piece!r}{code} at character {offset}")
        more = f" and {len(unseen) - 3} more" if len(unseen) > 3 else ""
        them = "them" if len(unseen) > 1 else "it"
        advice = f"--on-unknown unk reads {them} as <UNK>"
        if any(piece == "\\" for _, piece in unseen):  # as of '\n' typed into a shell
            advice += "; a line's end is $'\\n'"
        return cls(f"the model never saw {', '.join(shown)}{more}; {advice}")


class CheckpointError(CharlmError):
    """A file that is not a whole, sound checkpoint of a version that this charlm reads."""


class TrainingError(CharlmError):
    """Training cannot go on; what was saved before is intact."""


class OverflowingError(CharlmError):
    """A network's numbers grew past what float32 holds: nothing bounds the state of rnn-relu."""

    def __init__(self, text: str = "") -> None:
        super().__init__(
            "the network's numbers grow past what float32 holds (rnn-relu has no bound), so that "
            f"nothing can be said of {f'{text!r:.40}' if text else 'this text'}; give a shorter "
            "text or another model"
        )
