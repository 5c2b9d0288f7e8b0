"""The built-in capture backend: something real to put the proxy in front of, on one machine, with no account.

It stands alone: it shares no code with the proxy, so that it cannot agree with the proxy's mistakes.
"""
