"""The verbs of the command line, a small module each or two: options in, a call of `api`, text out.

`api.VERB` imports `api` when it is first asked for: `--help` imports every verb and must stay fast.
"""
