"""A font for class names in any script."""

import string
from collections.abc import Iterable

import matplotlib
from matplotlib.font_manager import (
    FontProperties,
    findfont,
    findSystemFonts,
    fontManager,
    get_font,
)
from mmengine.logging import print_log


def use_font_for(names: Iterable[str]) -> None:
    """Have matplotlib draw names in an installed font that has their letters.

    Its own font lacks Chinese ones among others, and draws an empty box for each.
    """
    letters = set(map(ord, ''.join(names))) | set(map(ord, string.printable[:-5]))
    lacking = letters - get_font(findfont(FontProperties())).get_charmap().keys()
    for path in sorted(findSystemFonts()) if lacking else ():
        try:
            font = get_font(path)
        except RuntimeError:  # a bitmap font
            continue
        if letters <= font.get_charmap().keys():
            fontManager.addfont(path)
            for family in ('font.sans-serif', 'font.monospace'):
                matplotlib.rcParams[family] = [font.family_name]
            return
    if lacking:
        shown = ''.join(map(chr, sorted(lacking)[:12]))
        text = (
            f'no installed font has the letters {shown} of the class names: they will '
        )
        text += (
            'be drawn as boxes. Install one, such as fonts-noto-cjk (apt), or put a '
        )
        text += '.ttf or .otf file that has them into ~/.local/share/fonts'
        print_log(text, 'current', level=30)
