"""How it looks: a report becomes text, JSON, DOT or SVG. One file a renderer; no torch here."""
