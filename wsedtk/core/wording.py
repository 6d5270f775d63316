"""Write numbers with their nouns in messages."""


def counted(number: int, noun: str) -> str:
    """Return a number and a noun in the singular or plural, such as "1 clip" or "3 classes".

    Parameters
    ----------
    number : int
    noun : str
        The noun in the singular. Nouns that end in "s" get the plural "es", all others "s".
    """
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}{'es' if noun.endswith('s') else 's'}"
