"""The one exception that means: the input is at fault, not the program."""


class InputError(ValueError):
    """Bad input from the user: a file, a field or a value that cannot be used.

    Its message is one complete sentence that names the culprit (file, field) and says what was
    expected. Commands show the message alone and exit with code 2.
    """
