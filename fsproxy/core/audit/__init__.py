"""What an audit line says."""
