"""The verbs of the command line in small modules: options in, one call of `api`, text out.

`api.VERB` imports `api` when it is first asked for: `--help` imports every verb and must stay fast.
"""
