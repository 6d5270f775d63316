"""Ready models that other people published. Each module registers the models of one family."""
