"""The command line, a module a command: options, texts and exit statuses; `app` puts the commands together.

What commands share is `flows.commands.options`.

Not here: work that another command or a notebook may want.
"""
