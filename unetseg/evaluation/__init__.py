"""Label files against truth files."""
