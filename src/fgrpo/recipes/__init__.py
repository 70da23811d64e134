"""Recipes shipped with the package: documented YAML files."""
