"""The config: from a file to a frozen `RunConfig`."""
