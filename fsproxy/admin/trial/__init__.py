"""The admin API of configurations that are tried on live traffic."""
