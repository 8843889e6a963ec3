"""The one exception that means: the input is at fault, not the program."""

_LONGEST = 2000
_END = 300


class InputError(ValueError):
    """Bad input from the user: a file, a field or a value that cannot be used.

    Its message is one complete sentence that names the culprit (file, field) and says what was
    expected. Commands show the message alone and exit with code 2. It may quote anything from a
    file, so control characters are escaped, and the middle of a very long message is left out.
    """

    def __init__(self, sentence):
        super().__init__(_printable(str(sentence)))


def _printable(text):
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST - _END]} ... {text[-_END:]}"
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
