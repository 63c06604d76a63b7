"""What can be asked of a running member, and ordered."""
