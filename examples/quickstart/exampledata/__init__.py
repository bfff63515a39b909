"""Builds the quickstart's data files from the tables in `facts/`: pure functions of the tables and one seed."""
