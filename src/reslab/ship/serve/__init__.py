"""Serve models over HTTP: a page, a JSON API, the Open Inference Protocol, metrics; see app.py for the routes."""
