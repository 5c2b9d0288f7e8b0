"""The connections to these servers, what goes over them, and what is done while one is lost."""
