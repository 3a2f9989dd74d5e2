"""The one error that speaks to the person who called."""


class InputError(ValueError):
    """What was asked cannot be done with what came.

    The message is one sentence in the caller's words: what was expected, what came, the way out.
    The command line prints it and exits with code 2; nothing has been written by then.
    """
