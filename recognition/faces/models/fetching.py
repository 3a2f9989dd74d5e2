"""The only place that downloads weights: published ones, when somebody asks for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import urlsplit

from recognition.datasets._files import reason, shown
from recognition.errors import InputError
from recognition.faces.models.facenet import (
    LICENCE,
    PUBLISHED,
    RELEASE,
    Published,
    cache_folder,
    check_weights,
    remember,
)
from recognition.faces.models.weight_bytes import written_beside
from recognition.progress import Watch, unwatched

MOST_BYTES = 512 << 20  # the published files have about 110 MB
TIMEOUT = 30.0  # seconds without a byte
_BLOCK = 1 << 20


class Fetched(NamedTuple):
    """A file of weights that is here now.

    Attributes:
        path: where.
        sha256: of it, remembered from now on.
    """

    path: Path
    sha256: str


def fetch_weights(
    name: str, *, accept_licence: bool, source: str = RELEASE, watch: Watch = unwatched
) -> Fetched:
    """Download published weights into facenet-pytorch's cache; they are whole and sound, or absent.

    Args:
        name: vggface2 or casia-webface.
        accept_licence: whether the user has read what is known of their licence.
        source: the URL of the folder they lie in; a mirror within a company, say.
        watch: told how many megabytes have come.

    Raises:
        InputError: an unknown name, a licence not accepted, a file that is there already, a server
            that does not answer, or something else than these weights; nothing is kept then.
    """
    if name not in PUBLISHED:
        raise InputError(f"unknown weights {name[:40]!r}; known: {', '.join(PUBLISHED)}")
    if not accept_licence:
        raise InputError(
            f"the licence of {name}: {LICENCE}; repeat with --accept-licence if that is right for "
            "your use"
        )
    published = PUBLISHED[name]
    final = cache_folder() / published.file
    if final.exists():
        raise InputError(
            f"{shown(final)} is there already; check it with recognition weights verify, or remove it"
        )
    final.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(final) as partial:
        _download(_url(source, published), partial, final, watch)
        sha256 = check_weights(partial, final)
    remember(final, sha256)
    return Fetched(final, sha256)


def _url(source: str, published: Published) -> str:
    if urlsplit(source).scheme not in ("https", "http"):
        raise InputError(f"expected a URL with https:// to fetch from, got {source[:80]!r}")
    return f"{source.rstrip('/')}/{published.file}"


def _download(url: str, partial: Path, final: Path, watch: Watch) -> None:
    with _answer(url, final) as answer, partial.open("wb") as file:
        length = int(answer.headers.get("Content-Length") or 0)
        if length > MOST_BYTES:
            raise _other(url, f"{length:,} bytes")
        done = 0
        with watch(f"fetching {final.name}, MB", length >> 20) as advance:
            while block := answer.read(_BLOCK):
                done += len(block)
                if done > MOST_BYTES:
                    raise _other(url, "more bytes than that")
                file.write(block)
                advance(done >> 20)
        if length and done != length:
            raise InputError(
                f"{url} broke off after {done:,} of {length:,} bytes; nothing was kept; fetch again"
            )


@contextmanager
def _answer(url: str, final: Path) -> Iterator[Any]:
    """The open answer of a server; what goes wrong on the way is one sentence."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        answer: IO[bytes] = urlopen(url, timeout=TIMEOUT)
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise _unreachable(url, final, error) from error
    with answer:
        if urlsplit(url).scheme == "https" and urlsplit(answer.url).scheme != "https":  # type: ignore[attr-defined]
            raise InputError(f"{url} leads to a place without encryption; name another with --from")
        try:
            yield answer
        except (TimeoutError, ConnectionError, HTTPException) as error:
            raise _unreachable(url, final, error) from error


def _unreachable(url: str, final: Path, error: Exception) -> InputError:
    cause = getattr(error, "reason", error)
    why = cause if isinstance(cause, str) else reason(cause)
    return InputError(
        f"{url} cannot be fetched ({why}); check the network, or copy the file to {shown(final)} "
        "by other means"
    )


def _other(url: str, came: str) -> InputError:
    return InputError(
        f"expected weights of at most {MOST_BYTES >> 20} MB at {url}, got {came}; nothing was kept; "
        "check the URL"
    )
