"""The admin API of several workers: each is asked, and what they answer is one answer."""
