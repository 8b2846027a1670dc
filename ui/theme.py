"""The look of the page: Gradio's theme in our colours, and our shell around it.

Every colour is a CSS variable of `assets/parlance.css`, so light and dark are decided there
and nowhere else. The shell is Gradio's index page without its outside scripts and fonts: the
page asks no other host for anything.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import gradio as gr
from gradio.routes import STATIC_TEMPLATE_LIB, templates
from jinja2 import ChoiceLoader, DictLoader
from markupsafe import Markup

from asr import locales
from ui import language

ASSETS = Path(__file__).parent / "assets"
URL = "parlance"  # where app.py serves ASSETS, relative to the page
INDEX = "frontend/index.html"
SPOKEN = ("live", "microphone", "source", "recordings", "player", "page", "size")  # what scripts say
FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace")

# What each colour paints, by Gradio's names; each name exists a second time for the dark theme.
PAINT = {
    "paper": "body_background_fill",
    "card": """background_fill_primary block_background_fill input_background_fill panel_background_fill
        input_background_fill_focus input_background_fill_hover checkbox_label_background_fill
        checkbox_background_color button_secondary_background_fill button_cancel_background_fill""",
    "sunken": """background_fill_secondary button_secondary_background_fill_hover code_background_fill
        checkbox_background_color_hover checkbox_label_background_fill_hover""",
    "ink": """body_text_color block_title_text_color button_secondary_text_color accordion_text_color
        button_secondary_text_color_hover checkbox_label_text_color""",
    "soft": "body_text_color_subdued block_info_text_color block_label_text_color input_placeholder_color",
    "line": "border_color_primary block_border_color panel_border_color",
    "edge": """input_border_color input_border_color_hover checkbox_border_color
        checkbox_border_color_hover checkbox_label_border_color checkbox_label_border_color_hover
        button_secondary_border_color button_secondary_border_color_hover""",
    "accent": """link_text_color link_text_color_visited border_color_accent input_border_color_focus
        checkbox_background_color_selected checkbox_border_color_selected checkbox_border_color_focus
        checkbox_label_border_color_selected button_primary_background_fill button_primary_border_color
        slider_color loader_color""",
    "accent-strong": """button_primary_background_fill_hover button_primary_border_color_hover
        link_text_color_hover link_text_color_active""",
    "on-accent": "button_primary_text_color button_primary_text_color_hover",
    "wash": "color_accent_soft checkbox_label_background_fill_selected",
    "wash-ink": "checkbox_label_text_color_selected",
    "danger": """button_cancel_text_color button_cancel_text_color_hover button_cancel_border_color
        button_cancel_border_color_hover error_text_color error_icon_color error_border_color""",
    "danger-wash": "button_cancel_background_fill_hover error_background_fill",
}
SHAPE = {
    "block_border_width": "0px",
    "block_padding": "0px",
    "block_title_text_weight": "600",
    "button_large_text_weight": "600",
    "button_medium_text_weight": "600",
    "form_gap_width": "0px",
    "input_border_width": "1px",
    "input_padding": "10px 12px",
    "layout_gap": "16px",
}
FLAT = ("block_shadow", "input_shadow", "input_shadow_focus")


def gradio() -> gr.themes.Base:
    """Gradio's base theme in our colours and shapes."""
    painted = {name: f"var(--{colour})" for colour, names in PAINT.items() for name in names.split()}
    painted |= dict.fromkeys(FLAT, "none")
    painted |= {f"{name}_dark": value for name, value in painted.items()}
    base = gr.themes.Base(font=FONT, font_mono=MONO, radius_size="lg", text_size="md")
    return base.set(**painted, **SHAPE, color_accent="var(--accent)")


@cache
def dress() -> None:
    """Put our shell around every Gradio page of this process."""
    page = (Path(STATIC_TEMPLATE_LIB) / INDEX).read_text(encoding="utf-8")
    templates.env.filters |= {
        "lang": lambda asking: locales.tag(language.of(asking)),
        "text": lambda key, asking: locales.text(language.of(asking), key),
        "told": lambda page, asking: Markup(language.told(str(page), language.of(asking))),
        "words": lambda asking: Markup(language.words(language.of(asking), *SPOKEN)),
    }
    templates.env.loader = ChoiceLoader([DictLoader({INDEX: shell(page)}), templates.env.loader])


def shell(page: str) -> str:
    """Gradio's index page without anything that names another host, with our head."""
    page = re.sub(r"<(link|meta|script)\b[^>]*https?://[^>]*>(\s*</script>)?", "", page)
    page = re.sub(r'<(meta\s+(property="og|name="twitter)|link rel="manifest")[^>]*>', "", page)
    # Without the outside script that these lines prepare for, an embedding page would stop us scrolling.
    page = re.sub(r"window\.iFrameResizer = \{.*?window\.parent\?\.postMessage\(.*?\);", "", page, flags=re.S)
    page = page.replace('lang="en"', 'lang="{{ request | lang }}"', 1)
    page = page.replace("| toorjson }}", "| toorjson | told(request) }}")
    return page.replace("</head>", f"{head()}</head>")


def head() -> str:
    """Our tags: the icon, every style sheet and script in ASSETS."""
    styles = "".join(f'<link rel="stylesheet" href="{_versioned(p)}">' for p in sorted(ASSETS.glob("*.css")))
    first = ASSETS / "say.js"
    ordered = [first, *(p for p in sorted(ASSETS.glob("*.js")) if p != first)]
    scripts = "".join(f'<script defer src="{_versioned(p)}"></script>' for p in ordered)
    return (
        "<title>Parlance</title>"
        "<meta name='description' content='{{ \"page.description\" | text(request) }}'>"
        f'<link rel="icon" type="image/svg+xml" href="{URL}/logo.svg">'
        # Before anything is painted: a page that is to be dark must not flash white.
        "<script>document.documentElement.dataset.theme = localStorage.getItem('parlance-theme')"
        " ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');"
        # And what was read once must not push the page down again.
        "document.documentElement.toggleAttribute('data-read', !!localStorage.getItem('parlance-read'));"
        "</script>"
        f"{{{{ request | words }}}}{styles}{scripts}"
    )


def _versioned(asset: Path) -> str:
    """Its address, another one after every change: browsers keep what they have."""
    return f"{URL}/{asset.name}?v={asset.stat().st_mtime_ns:x}"
