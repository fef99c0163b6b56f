"""Formulas: TeX to MathML when the report is built, so that the page needs no script and no font for them."""

from functools import cache

import math_core
from markupsafe import Markup

_CONVERTER = math_core.LatexToMathML(annotation=True, fancy_error=False)


@cache
def mathml(tex: str) -> Markup:
    """TeX as MathML that carries its source as an annotation, or as code where the converter does not know it."""
    try:
        return Markup(_CONVERTER.convert_with_local_state(tex, displaystyle=True))
    except math_core.LatexError:
        return Markup('<code class="tex">{}</code>').format(tex)
