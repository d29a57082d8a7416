"""The nets that are trained and measured: by name, of stripes and hierarchies, of one's own; their weights."""
