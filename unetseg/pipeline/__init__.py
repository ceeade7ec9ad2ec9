"""The application: the only floor where files and torch meet."""
