"""A font for class names in any script."""

import string
from collections.abc import Iterable

from matplotlib import font_manager, rcParams
from mmengine.logging import print_log


def use_font_for(names: Iterable[str]) -> None:
    """Have matplotlib draw names in an installed font that has their letters.

    Its own font lacks Chinese ones among others, and draws an empty box for each.
    """
    letters = set(map(ord, string.printable[:-5] + ''.join(names)))
    own = font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))
    lacking = letters - own.get_charmap().keys()
    for path in sorted(font_manager.findSystemFonts()) if lacking else ():
        try:
            font = font_manager.get_font(path)
        except RuntimeError:  # a bitmap font
            continue
        if letters <= font.get_charmap().keys():
            font_manager.fontManager.addfont(path)
            rcParams['font.sans-serif'] = [font.family_name]
            rcParams['font.monospace'] = [font.family_name]
            rcParams['font.weight'] = font_manager.fontManager.ttflist[-1].weight
            return
    if lacking:
        shown = ''.join(map(chr, sorted(lacking)[:12]))
        text = f'no installed font has {shown} of the class names: they become boxes. '
        text += 'Install fonts-noto-cjk (apt), or put a font into ~/.local/share/fonts'
        print_log(text, 'current', level=30)
