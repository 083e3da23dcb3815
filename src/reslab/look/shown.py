"""How a result shows itself in a notebook: as a short text, a table, a data frame, a figure."""

from collections.abc import Mapping
from html import escape
from typing import Any, ClassVar

from reslab.errors import UsageError
from reslab.extras import frame_of

LINES = 12  # rows of a text
ROWS = 200  # rows of a table in a notebook

Row = dict[str, Any]


class Shown:
    """A result with one main table. A class says what its `rows` are, and which columns `plot` draws."""

    FACTS: ClassVar[tuple[str, ...]] = ("n",)  # fields that stand before the table
    DRAWN: ClassVar[tuple[str, ...]] = ()  # columns of the figure; empty: the last

    def rows(self) -> list[Row]:
        """The main table, a dict per row, with plain values."""
        raise NotImplementedError

    def drawn(self) -> tuple[str, ...]:
        """Columns of the figure."""
        return self.DRAWN or tuple(self.rows()[0])[-1:]

    def frame(self) -> Any:
        """The main table as a pandas.DataFrame. Raises UsageError if pandas is not installed."""
        return frame_of(self.rows())

    def plot(self) -> Any:
        """The main table as a plotly figure, a panel per measured column; one bar per row."""
        from plotly.subplots import make_subplots

        rows = self.rows()
        if not rows:
            raise UsageError(f"{title(self)}, so there is nothing to draw")
        names = self.drawn()
        labels = [" ".join(str(value) for value in list(row.values())[:2]) for row in rows]
        figure = make_subplots(
            rows=len(names), subplot_titles=names, shared_xaxes=True, vertical_spacing=0.2 / len(names)
        )
        for place, name in enumerate(names, 1):
            figure.add_bar(x=list(range(len(rows))), y=[row.get(name) for row in rows], hovertext=labels, name=name,
                           row=place, col=1)  # fmt: skip
        figure.update_layout(title=title(self), showlegend=False, height=160 + 180 * len(names))
        figure.update_xaxes(title_text=next(iter(rows[0])), row=len(names), col=1)
        return figure

    def __repr__(self) -> str:
        rows = [{name: short(value) for name, value in row.items()} for row in self.rows()]
        names = list(rows[0]) if rows else []
        wide = {name: max(len(name), *(len(row.get(name, "")) for row in rows[:LINES])) for name in names}
        table = [dict(zip(names, names, strict=True)), *rows[:LINES]] if rows else []
        lines = [
            title(self),
            *("  ".join(cell(name, row.get(name, ""), wide[name]) for name in names) for row in table),
        ]
        if len(rows) > LINES:
            lines.append(f"... {len(rows) - LINES} more rows; frame() has them all")
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        rows = self.rows()
        names = list(rows[0]) if rows else []
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        body = "".join("<tr>" + "".join(f"<td>{escape(short(row.get(name)))}</td>" for name in names) + "</tr>"
                       for row in rows[:ROWS])  # fmt: skip
        more = f"<p>... {len(rows) - ROWS} more rows</p>" if len(rows) > ROWS else ""
        caption = f"<caption>{escape(title(self))}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def title(result: Shown) -> str:
    """Lesions(n=100, method='growing'): 9 rows."""
    facts = ", ".join(f"{name}={short(getattr(result, name))}" for name in result.FACTS)
    count = len(result.rows())
    return f"{type(result).__name__}({facts}): {count} row{'s' * (count != 1)}"


def short(value: Any) -> str:
    """A value of a cell: four digits, shapes as 16x32x32, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 10**15 else f"{value:.4g}"
    if isinstance(value, tuple | list):
        return "x".join(map(str, value)) if all(isinstance(one, int) for one in value) else ", ".join(map(str, value))
    return str(value)


def cell(name: str, text: str, width: int) -> str:
    return text.ljust(width) if name in ("module", "kind") else text.rjust(width)


def flat(row: Any, names: tuple[str, ...], values: Mapping[str, float] | None = None) -> Row:
    """Some fields of a record, and its measured values by name."""
    return {name: getattr(row, name) for name in names} | dict(values or {})
