"""What a trace means: rules, and the report made of their findings."""
