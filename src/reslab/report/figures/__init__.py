"""The figures and tables of pages, as plotly figures and HTML."""
