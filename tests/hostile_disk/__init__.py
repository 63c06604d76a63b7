"""Data directories whose files are damaged, cut or missing."""
