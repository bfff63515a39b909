"""Agreement: a judge beside people's labels, or beside another judge."""
