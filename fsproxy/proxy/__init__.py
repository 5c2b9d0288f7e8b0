"""What happens to a request, from its head to its audit line."""
