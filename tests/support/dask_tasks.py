"""Tasks of the tests, in a file that the workers can import."""
import os
import time

MIB = 1024 ** 2


def slow_square(x):
    time.sleep(0.1)
    return x * x


def hog(size):
    """Use so many bytes for half a minute."""
    data = [bytearray(b"x" * MIB) for _ in range(size // MIB)]
    time.sleep(30)
    return len(data)


def variables(*names):
    return [os.environ.get(name) for name in names]
