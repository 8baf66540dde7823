"""The report as one HTML file: a page to be looked at, which asks nothing of any network."""
