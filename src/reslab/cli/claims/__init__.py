"""reslab claims: the papers' claims, each with a verdict; list them, show one, compare two runs."""

from cyclopts import App

from reslab.cli.claims import kept, listing, run

app = App(
    name="claims",
    help="Test claims of papers: each a prediction fixed beforehand, an experiment and a verdict. Without a command it "
    "runs all of them on digits, up to 20 minutes.",
    help_format="plaintext",
)
app.default(run.claims)
app.command(listing.list_, name="list")
app.command(listing.show)
app.command(listing.experiments)
app.command(kept.agree)
app.command(kept.table)
