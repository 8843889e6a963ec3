"""Work that goes on in a thread beside whatever else is done."""

from concurrent.futures import ThreadPoolExecutor


def beside(function, *arguments):
    """Starts function(*arguments) in a thread of its own and returns at once.

    Returns:
      A future, see `concurrent.futures`; nobody needs to wait for it.
    """
    executor = ThreadPoolExecutor(1)
    future = executor.submit(function, *arguments)
    executor.shutdown(wait=False)
    return future
