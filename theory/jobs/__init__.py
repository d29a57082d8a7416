"""Independent jobs and where they run: in this process, in several, on a Ray cluster."""
