"""Charts as SVG, light and dark, from plain data; nothing but the standard library.

    {"kind": "bars", "title": …, "note": …, "unit": "/s", "groups": [{"name": "HTTP", "bars": [{"name": "webhookd", "values": […]}]}]}
    {"kind": "lines", "title": …, "note": …, "x": {"label": …, "log": True}, "y": {"label": …}, "series": [{"name": …, "points": [[x, [values]]]}]}

A mark is the median of its values, its whisker runs from the least to the greatest. y begins at 0. A bar named webhookd has the first colour;
"limit": y in a chart of lines is drawn as a dashed line.
"""
import math
import statistics
from xml.sax.saxutils import escape

LIGHT = {"ground": "#ffffff", "ink": "#1f2328", "faint": "#59636e", "grid": "#d8dee4", "colours": ["#0969da", "#8c959f", "#bc4c00", "#1a7f37", "#8250df"]}
DARK = {"ground": "#0d1117", "ink": "#e6edf3", "faint": "#9198a1", "grid": "#30363d", "colours": ["#4493f8", "#6e7681", "#f0883e", "#3fb950", "#a371f7"]}
WIDTH, LEFT, RIGHT, TOP = 820, 220, 100, 62


class Drawing:
    def __init__(self, theme, chart):
        self.theme, self.parts = theme, []
        self.text(16, 26, chart["title"], size=16, weight="600")
        self.text(16, 46, chart.get("note", ""), size=12, colour="faint")

    def colour(self, name):
        return self.theme["colours"][name % len(self.theme["colours"])] if isinstance(name, int) else self.theme[name]

    def text(self, x, y, words, size=13, colour="ink", anchor="start", weight="400"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{self.colour(colour)}" '
                          f'text-anchor="{anchor}">{escape(words)}</text>')

    def line(self, x1, y1, x2, y2, colour="ink", width=1.0, dash=""):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{self.colour(colour)}" stroke-width="{width}"'
                          f'{f" stroke-dasharray={chr(34)}{dash}{chr(34)}" if dash else ""}/>')

    def box(self, x, y, width, height, colour):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2" fill="{self.colour(colour)}"/>')

    def dot(self, x, y, colour):
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{self.colour(colour)}"/>')

    def path(self, points, colour):
        steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{steps}" fill="none" stroke="{self.colour(colour)}" stroke-width="2"/>')

    def svg(self, height):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" height="{height:.0f}" '
                f'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">\n'
                f'<rect width="100%" height="100%" fill="{self.theme["ground"]}"/>\n' + "\n".join(self.parts) + "\n</svg>\n")


def words(value):
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= 10 * size or (value >= size and value % size == 0):
            return f"{value / size:.3g}{letter}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def ticks(most):
    """Round numbers from 0 to at least most."""
    step = 10 ** math.floor(math.log10(most / 4))
    step *= next(k for k in (1, 2, 2.5, 5, 10) if step * k * 5 >= most)
    return [step * i for i in range(math.ceil(most / step - 1e-9) + 1)]


def bars(drawing, chart):
    scale = ticks(max(max(b["values"]) for g in chart["groups"] for b in g["bars"]))
    at = lambda value: LEFT + value / scale[-1] * (WIDTH - LEFT - RIGHT)
    end = TOP + sum(24 + 26 * len(g["bars"]) for g in chart["groups"])
    for value in scale:
        drawing.line(at(value), TOP, at(value), end, "grid")
        drawing.text(at(value), end + 16, words(value) + (chart.get("unit", "") if value else ""), 11, "faint", "middle")
    y = TOP
    for group in chart["groups"]:
        drawing.text(16, y + 16, group["name"], weight="600")
        y += 24
        for i, bar in enumerate(group["bars"]):
            value, least, most = statistics.median(bar["values"]), min(bar["values"]), max(bar["values"])
            ours = bar["name"].startswith("webhookd")
            drawing.text(LEFT - 10, y + 15, bar["name"], 12, "ink" if ours else "faint", "end", "600" if ours else "400")
            drawing.box(LEFT, y + 3, at(value) - LEFT, 17, 0 if ours else 1)
            drawing.line(at(least), y + 11.5, at(most), y + 11.5, "ink", 1.5)
            for edge in (least, most):
                drawing.line(at(edge), y + 7, at(edge), y + 16, "ink", 1.5)
            drawing.text(at(max(most, value)) + 8, y + 16, words(value) + chart.get("unit", ""), 12, "ink")
            y += 26
    return drawing.svg(end + 30)


def lines(drawing, chart):
    left, bottom = 80, 360
    xs = sorted({x for s in chart["series"] for x, _ in s["points"]})
    scale = ticks(max([chart.get("limit", 0)] + [max(values) for s in chart["series"] for _, values in s["points"]]))
    log = chart["x"].get("log")
    place = (lambda x: math.log10(max(x, 1))) if log else (lambda x: x)
    low, high = place(xs[0]), max(place(xs[-1]), place(xs[0]) + 1e-9)
    at_x = lambda x: left + (place(x) - low) / (high - low) * (WIDTH - left - 30)
    at_y = lambda y: bottom - y / scale[-1] * (bottom - TOP - 30)
    for value in scale:
        drawing.line(left, at_y(value), WIDTH - 30, at_y(value), "grid")
        drawing.text(left - 8, at_y(value) + 4, words(value), 11, "faint", "end")
    for x in {place(x): x for x in xs}.values():  # 0 and 1 are in one place
        drawing.text(at_x(x), bottom + 18, words(x), 11, "faint", "middle")
    drawing.text((left + WIDTH - 30) / 2, bottom + 38, chart["x"]["label"], 12, "faint", "middle")
    drawing.text(left, TOP + 22, chart["y"]["label"], 12, "faint")
    if "limit" in chart:
        drawing.line(left, at_y(chart["limit"]), WIDTH - 30, at_y(chart["limit"]), "faint", 1.5, "6 4")
    for i, series in reversed(list(enumerate(chart["series"]))):
        points = [(at_x(p), statistics.median(v), min(v), max(v)) for p, v in series["points"]]
        drawing.path([(px, at_y(value)) for px, value, _, _ in points], i)
        for px, value, least, most in points:
            drawing.line(px, at_y(least), px, at_y(most), i, 1.2)
            drawing.dot(px, at_y(value), i)
        x, y = (left, left + (WIDTH - left) / 2)[i % 2], bottom + 62 + i // 2 * 20
        drawing.dot(x, y - 4, i)
        drawing.text(x + 9, y, series["name"], 12)
    return drawing.svg(bottom + 54 + (len(chart["series"]) + 1) // 2 * 20)


def write(chart, path):
    for name, theme in (("light", LIGHT), ("dark", DARK)):
        with open(f"{path}-{name}.svg", "w") as f:
            f.write({"bars": bars, "lines": lines}[chart["kind"]](Drawing(theme, chart), chart))
