"""What keeps possessive repetitions of groups right in every Python from 3.11 on.

Before 3.11.5, ``(?:...)*+`` does not go back to where its last turn began when that turn fails after its first
characters: ``(?:ab)*+ac`` does not match ``abac``. It does where each turn may also be an alternative that never
matches. A repetition of one class (``[...]*+``) is right in all versions, and so is one whose turns cannot fail once
their first character is there.
"""

BACK = "|(?!)"
"""The last alternative of a group that is repeated possessively."""
BACK_IN_BYTES = BACK.encode()
