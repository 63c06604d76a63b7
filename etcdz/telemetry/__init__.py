"""Logs, figures and the flight recorder."""
