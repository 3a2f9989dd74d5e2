"""Networks that embed faces, each from a file that somebody has: nothing is downloaded."""
