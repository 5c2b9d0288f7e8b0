"""The built-in capture backend, to try the proxy on one machine without an account.

It shares no code with the proxy, so that it cannot share the proxy's mistakes.
"""
