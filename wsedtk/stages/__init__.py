"""The stages: one verb, one module, one subcommand. They never import each other: they meet through files."""
