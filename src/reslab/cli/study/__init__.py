"""reslab study: whole experiments."""

from cyclopts import App

from reslab.cli.study import degradation, grid, identity

app = App(name="study", help="Run a whole experiment and write a page with its results.", help_format="plaintext")
app.command(degradation.degradation)
app.command(grid.grid)
app.command(identity.identity)
