"""The commands, by what they are for; nothing heavy is imported before one runs."""
