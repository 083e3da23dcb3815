"""What pages draw, as plotly figures and tables of HTML."""
