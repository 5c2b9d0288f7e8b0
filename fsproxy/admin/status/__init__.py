"""How the program is, at a glance: its vital signs, and the answer that is made of them."""
