"""reslab tables: train, evaluate, compare and use nets that predict a column of a table."""

from cyclopts import App

from reslab.cli.tables import compare, rows, train

app = App(name="tables", help="Predict a column of a table from the others: numbers, categories, dates, texts.")
app.command(train.train)
app.command(rows.evaluate, name="eval")
app.command(rows.predict)
app.command(compare.compare)
