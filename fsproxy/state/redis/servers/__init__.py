"""Which servers keep the limits: found, logged in to, and the reasons for which they cannot be used."""
