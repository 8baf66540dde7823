"""What tracing costs: `make bench`. Never part of the tests, since a busy machine is no bug."""
