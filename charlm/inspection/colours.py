"""Colour scales whose equal steps look equal, and that colour-blind people can read.

Each is a straight line in OKLab, the space in which distance is what the eye sees as difference
(Ottosson 2020, https://bottosson.github.io/posts/oklab/). They run along blue and yellow or orange,
which red-green blindness leaves apart, and in lightness. Knows nothing about what is coloured.
"""

import math
from functools import cache

Colour = tuple[int, int, int]  # sRGB, 0 to 255
Oklab = tuple[float, float, float]  # lightness, green to red, blue to yellow

Ends = tuple[Oklab, Oklab]
SURPRISE: Ends = ((0.30, -0.01, -0.09), (0.93, -0.03, 0.13))  # little, much
SURPRISE_ON_LIGHT: Ends = ((0.98, 0.0, 0.01), (0.55, 0.08, 0.115))
NEGATIVE: Ends = ((0.95, 0.0, 0.0), (0.50, -0.03, -0.13))  # 0, −1
POSITIVE: Ends = ((0.95, 0.0, 0.0), (0.58, 0.08, 0.11))  # 0, +1
NEGATIVE_ON_DARK: Ends = ((0.25, 0.0, -0.01), (0.74, -0.04, -0.11))
POSITIVE_ON_DARK: Ends = ((0.25, 0.0, -0.01), (0.76, 0.06, 0.13))
STEPS = 64  # colours of a scale


def sequential(share: float) -> Colour:
    """The colour of a share from 0 (dark blue) to 1 (light yellow); what is outside is cut.

    >>> sequential(0.0), sequential(1.0)
    ((21, 43, 91), (248, 236, 125))
    """
    return _on_line(SURPRISE, _step(share))


def diverging(value: float) -> Colour:
    """The colour of a value from −1 (blue) through 0 (nearly white) to 1 (orange)."""
    return _on_line(NEGATIVE if value < 0 else POSITIVE, _step(abs(value)))


def sequential_on_light(share: float) -> Colour:
    """For a light page, on which little should look like paper: nearly white to dark orange."""
    return _on_line(SURPRISE_ON_LIGHT, _step(share))


def diverging_on_dark(value: float) -> Colour:
    """For a dark page, on which 0 should look like the page: blue, nearly black, orange."""
    return _on_line(NEGATIVE_ON_DARK if value < 0 else POSITIVE_ON_DARK, _step(abs(value)))


def ink(colour: Colour) -> Colour:
    """Black or white, whichever can be read on the colour (contrast of WCAG 2)."""
    luminance = _luminance(colour)
    return (0, 0, 0) if (luminance + 0.05) ** 2 > 0.05 * 1.05 else (255, 255, 255)


def hexadecimal(colour: Colour) -> str:
    """`#152b5b`."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


@cache
def of_256(colour: Colour) -> int:
    """The nearest of a terminal's 240 fixed colours: its number, from 16 to 255."""
    wanted = to_oklab(colour)
    return min(range(16, 256), key=lambda k: difference(wanted, to_oklab(fixed_colour(k))))


def fixed_colour(number: int) -> Colour:
    """The colours 16 to 255 of a terminal: a cube of 6 × 6 × 6, then 24 greys."""
    if number >= 232:
        grey = 8 + 10 * (number - 232)
        return (grey, grey, grey)
    red, rest = divmod(number - 16, 36)
    levels = (0, 95, 135, 175, 215, 255)
    return (levels[red], levels[rest // 6], levels[rest % 6])


def difference(one: Oklab, other: Oklab) -> float:
    """How far apart two colours look."""
    return math.dist(one, other)


@cache
def to_oklab(colour: Colour) -> Oklab:
    """From sRGB."""
    r, g, b = (_linear(part) for part in colour)
    long = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) ** (1 / 3)
    medium = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) ** (1 / 3)
    short = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def _step(share: float) -> int:
    return round(min(max(share, 0.0), 1.0) * (STEPS - 1))


@cache
def _on_line(ends: Ends, step: int) -> Colour:
    share = step / (STEPS - 1)
    lightness, a, b = (low + share * (high - low) for low, high in zip(*ends, strict=True))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        _coded(4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short),
        _coded(-1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short),
        _coded(-0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short),
    )


def _linear(part: int) -> float:
    share = part / 255
    return share / 12.92 if share <= 0.04045 else math.pow((share + 0.055) / 1.055, 2.4)


def _coded(light: float) -> int:
    light = min(max(light, 0.0), 1.0)
    if light <= 0.0031308:
        return round(255 * 12.92 * light)
    return round(255 * (1.055 * math.pow(light, 1 / 2.4) - 0.055))


def _luminance(colour: Colour) -> float:
    r, g, b = (_linear(part) for part in colour)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
