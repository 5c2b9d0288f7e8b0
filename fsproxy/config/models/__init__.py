"""The sections of the configuration file, as users write them."""
