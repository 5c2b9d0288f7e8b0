"""What operators see: health, metrics, and the API of the admin port."""
