"""reslab qa: train, evaluate, compare and use nets that answer questions."""

from cyclopts import App

from reslab.cli.qa import ask, compare, evaluate, train

app = App(name="qa", help="Answer questions from texts, with a residual head on any text encoder.")
app.command(ask.ask)
app.command(train.train)
app.command(evaluate.evaluate, name="eval")
app.command(compare.compare)
