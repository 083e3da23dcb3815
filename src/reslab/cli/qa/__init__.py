"""reslab qa: nets that answer questions, trained, evaluated, compared and asked."""

from cyclopts import App

from reslab.cli.qa import ask, compare, evaluate, train

app = App(name="qa", help="Answer questions: a residual head on any encoder of texts.")
app.command(ask.ask)
app.command(train.train)
app.command(evaluate.evaluate, name="eval")
app.command(compare.compare)
