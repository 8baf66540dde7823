"""Two runs beside each other, shown: `Comparison` in, text out."""
