"""The card: as text in a terminal, as HTML in a notebook."""
import os
import time
from html import escape

from .facts import look
from .restart import restart

# Readable on light and on dark: everything but the dots takes the page's own colour. Every style is in its element, and
# no element is one that pages have styles of their own for (JupyterLab floats the terms of lists).
_DOTS = {"running": "#2e9e4f", "starting": "#d08c00", "failed": "#e04848"}
_CARD = ("max-width:48em;box-sizing:border-box;margin:.3em 0;padding:.7em 1em;border:1px solid rgba(128,128,128,.45);"
         "border-radius:6px;line-height:1.45;overflow-wrap:anywhere;color:inherit")
_HEAD = "margin:0 0 .3em;font-weight:600"
_ROWS = "display:grid;grid-template-columns:minmax(5.5em,max-content) minmax(0,1fr);gap:.1em .9em;margin:.2em 0 .4em"
_LOG = ("margin:.3em 0;padding:.4em .6em;max-height:14em;overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere;"
        "font-size:.9em;border-left:3px solid #e04848;background:rgba(128,128,128,.12);color:inherit")
_LATER = "margin-top:.7em;padding-top:.6em;border-top:1px solid rgba(128,128,128,.3)"


class Session:
    """Shows itself, each time anew."""

    @property
    def parts(self):
        """What is shown: the session, then its runtimes, each with title, state, rows, error and notes."""
        return look(os.environ, time.time())

    def restart(self, runtime=None):
        """Start the runtimes that failed anew, at their old addresses, or ``runtime`` ("dask", "ipyparallel") whatever
        its state. Waits until they run; RestartError says why one does not."""
        restart(os.environ, runtime)
        return self

    def __repr__(self):
        return "\n".join(_lines(self.parts))

    def _repr_html_(self):
        return '<div style="%s">%s</div>' % (_CARD, "".join(map(_section, range(99), self.parts)))


def _lines(parts):
    for number, part in enumerate(parts):
        indent = "  " if number else ""
        yield indent + (", ".join(filter(None, [part.title, part.state])))
        for label, text, _ in part.rows:
            yield "%s  %-11s %s" % (indent, label, text)
        for line in part.error.splitlines():
            yield "%s  | %s" % (indent, line)
        for note in part.notes:
            yield "%s  * %s" % (indent, note)


def _section(number, part):
    rows = "".join('<div style="white-space:nowrap;opacity:.8">%s</div><div>%s</div>'
                   % (escape(label), _value(text, link)) for label, text, link in part.rows)
    notes = "".join("<div style='margin:.3em 0 0'>%s</div>" % escape(note) for note in part.notes)
    return '<div style="%s"><div style="%s">%s%s</div>%s%s%s</div>' % (
        _LATER if number else "", _HEAD, escape(part.title), _badge(part.state),
        '<div style="%s">%s</div>' % (_ROWS, rows) if rows else "",
        '<pre style="%s">%s</pre>' % (_LOG, escape(part.error)) if part.error else "", notes)


def _badge(state):
    if not state:
        return ""
    return (' <span style="font-weight:400;white-space:nowrap;margin-left:.5em"><span style="color:%s" '
            'aria-hidden="true">\N{BLACK CIRCLE}</span> %s</span>' % (_DOTS.get(state, "#808080"), escape(state)))


def _value(text, link):
    if not link:
        return escape(text)
    return '<a href="%s" target="_blank" rel="noopener">%s</a>' % (escape(link), escape(text))
