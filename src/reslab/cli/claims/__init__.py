"""reslab claims: the papers' claims, each with a verdict; list them, show one, compare two runs."""

from cyclopts import App

from reslab.cli.claims import kept, listing, run

app = App(
    name="claims",
    help="Test claims of papers on this machine: each a prediction fixed beforehand, an experiment and a verdict.",
    help_format="plaintext",
)
app.default(run.claims)
app.command(listing.list_, name="list")
app.command(listing.show)
app.command(kept.agree)
app.command(kept.table)
