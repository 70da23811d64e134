"""The focal weight inside other trainers."""
