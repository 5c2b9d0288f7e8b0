"""What a candidate configuration would change, counted in bounded memory."""
