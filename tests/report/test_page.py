"""The one head and foot of every page."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from acnorm._version import __version__
from acnorm.report.page import page


def test_every_page_has_one_head_and_foot():
    text = page("base.html", name="a <run>")
    assert text.count("<title>") == text.count("<style>") == text.count("<main>") == text.count("<footer>") == 1
    assert "<title>a &lt;run&gt; – acnorm report</title>" in text
    assert f"Written by acnorm {__version__} from the folder <code>a &lt;run&gt;</code>." in text
    assert "default-src 'none'" in text


def test_what_a_template_needs_is_not_left_out_in_silence():
    with pytest.raises(UndefinedError, match="name"):
        page("base.html")
