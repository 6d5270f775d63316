"""Write numbers with their nouns in messages."""


def counted(number: int, one: str, several: str = "") -> str:
    """Return a number and its words, such as "1 clip", "3 classes" or "3 clips have".

    Parameters
    ----------
    number : int
        The number.
    one : str
        The words for the number 1, such as a noun in the singular, or "clip has".
    several : str, optional
        The words for other numbers. By default, they are `one` with "s" at its end, or with "es" if
        `one` ends in "s".
    """
    if number == 1:
        return f"1 {one}"
    return f"{number} {several or one + ('es' if one.endswith('s') else 's')}"
