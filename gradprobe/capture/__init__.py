"""The room that touches torch: it runs beside the program and writes down what it sees."""
