"""How wide the columns of a table are on a terminal, and which of them it has room for.

Knows widths alone: nothing of what the columns hold, or how a table is drawn.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

FOLDED = 9  # columns of a text, at least, that goes on in the next line
BETWEEN = 2  # columns of the terminal between two of the table


class Column(NamedTuple):
    """What a column needs: its widest cell, its title, and the title's longest word.

    whole: whether its cells stay on one line.
    """

    cell: int
    title: int
    word: int
    whole: bool

    @property
    def wanted(self) -> int:
        """Its width where there is room."""
        return max(self.cell, self.title)

    @property
    def least(self) -> int:
        """What it cannot do without."""
        return max(self.cell if self.whole else min(self.cell, FOLDED), self.word)


def between(columns: Collection[int]) -> int:
    """The columns of the terminal between those of the table."""
    return BETWEEN * (len(columns) - 1)


def kept(columns: Sequence[Column], spare: Sequence[int], space: int) -> list[int]:
    """The numbers of those that fit: all but as many of `spare`, first to last, as must go."""
    left = list(range(len(columns)))
    for number in spare:
        if sum(columns[k].least for k in left) + between(left) <= space:
            break
        left.remove(number)
    return left


def widths(columns: Sequence[Column], space: int) -> list[int]:
    """Of each column: what it needs, the widest narrowed first, as far as they can be."""
    space -= between(range(len(columns)))
    least = [column.least for column in columns]
    found = [max(column.least, min(column.wanted, space)) for column in columns]
    while sum(found) > space and (wide := [k for k, w in enumerate(found) if w > least[k]]):
        found[max(wide, key=found.__getitem__)] -= 1
    return found
